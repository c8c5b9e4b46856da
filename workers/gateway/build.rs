//! Lists the files of the page, so that each of them is embedded and none is forgotten.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").ok_or("no folder of the crate")?).join("page");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut list = String::from("[\n");
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())?;
    }
    list.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").ok_or("no folder for the list")?;
    std::fs::write(Path::new(&out).join("page.rs"), list)?;
    Ok(())
}
