//! Compares files with their pinned hashes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::manifest::Model;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// What is wrong with the model in `folder`, one line each; nothing when it is whole.
pub(crate) fn faults(model: &Model, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (name, pinned) in &model.files {
        let path = folder.join(name);
        if !path.is_file() {
            faults.push(format!("{name}: missing"));
            continue;
        }
        let found = sha256(&path)?;
        if found != *pinned {
            faults.push(format!("{name}: sha256 is {found}, not {pinned}"));
        }
    }
    Ok(faults)
}

/// SHA-256 of a file in lower-case hexadecimal.
pub(crate) fn sha256(path: &Path) -> anyhow::Result<String> {
    let read = || -> std::io::Result<String> {
        let (mut file, mut digest) = (File::open(path)?, Sha256::new());
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hex(&digest.finalize())),
                read => digest.update(&chunk[..read]),
            }
        }
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
