//! What the fuzz targets share: a roof over the memory, folders of files, which panics count.

use std::alloc::System;
use std::io::{self, Write};
use std::panic;
use std::path::Path;

use cap::Cap;
use tempfile::TempDir;

/// More than any of these inputs, a few kilobytes each, may ask for. libFuzzer only sees memory
/// that was touched; this one refuses what is only asked for, and the target ends as a crash.
const MEMORY: usize = 256 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

/// A panic below these paths is somebody else's and contained by the product; all others end the run.
///
/// libFuzzer's own hook ends the process at any panic, caught or not.
pub fn contain(sources: &'static [&'static str]) {
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |location| location.file());
        if !sources.iter().any(|source| file.contains(source)) {
            // Standard error is not captured here, and nothing else may run before the abort.
            let _ = writeln!(io::stderr(), "{info}");
            std::process::abort();
        }
    }));
}

/// A folder that holds these files, in `$TMPDIR`.
///
/// # Panics
/// When it cannot be written: a finding would mean nothing then.
#[must_use]
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    folder
}

/// A safetensors file whose tensors are all zero.
#[must_use]
pub fn zeros(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(
            (*name).into(),
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }),
        );
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + end, 0);
    file
}
