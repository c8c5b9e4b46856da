//! Files of weights, mapped into memory rather than read: gigabytes of which some are used once.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sha2::{Digest, Sha256};

/// A file that nobody writes to while it is mapped.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        #[expect(unsafe_code, reason = "mapping; the files of a model are not rewritten while a worker runs")]
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// SHA-256 in hexadecimal of these files, one after the other.
pub fn sha256<'a>(files: impl IntoIterator<Item = &'a MappedFile>) -> String {
    let mut hasher = Sha256::new();
    files.into_iter().for_each(|file| hasher.update(&**file));
    hex(&hasher.finalize())
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// SHA-256 in hexadecimal of the file at `path`.
///
/// # Errors
/// What the system says.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&chunk[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_bytes_and_files_are_hashed_as_one() {
        let folder = std::env::temp_dir().join(format!("shanshui-model-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let parts = ["a", "bc"].map(|text| {
            let path = folder.join(text);
            std::fs::write(&path, text).unwrap();
            MappedFile::open(&path).unwrap()
        });
        assert_eq!(&*parts[1], b"bc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(&parts), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash_file(&folder.join("bc")).unwrap(), sha256(&parts[1..]));
        assert!(MappedFile::open(&folder.join("none")).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
