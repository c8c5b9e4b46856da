//! `shanshui-model.lock`, beside a model's files: where they came from, and what they must be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::hash_file;

/// The file that `shanshui models pull` writes last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Of this format.
    pub version: u32,
    /// `OWNER/NAME` on the hub; none for a model that came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Commit of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Licence, as the repository states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// By path below the model's folder.
    pub files: BTreeMap<String, LockedFile>,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// Its size.
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// Format of the file.
const VERSION: u32 = 1;
/// A file of this kind has some hundred lines.
const MAX_BYTES: u64 = 10 << 20;
/// Files up to this size are hashed at every load: configs and tokenizers.
const SMALL: u64 = 16 << 20;

impl Lock {
    /// Its name in the folder.
    pub const FILE: &str = "shanshui-model.lock";

    /// A lock of these files.
    pub fn new(files: BTreeMap<String, LockedFile>) -> Self {
        Self { version: VERSION, repository: None, commit: None, licence: None, files }
    }

    /// The lock in `folder`, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or names files that are not below the folder.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        read.with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| path.display().to_string()).map(Some)
    }

    /// The lock in these bytes.
    ///
    /// # Errors
    /// As [`Lock::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() as u64 <= MAX_BYTES, "more than {MAX_BYTES} bytes");
        let lock: Self = serde_json::from_slice(bytes).context("it is not a lock of a model")?;
        ensure!(lock.version == VERSION, "version: {} is not allowed; allowed: {VERSION}", lock.version);
        for (name, file) in &lock.files {
            ensure!(is_inside(name), "files: {name:?} is not allowed; allowed: a path below the model's folder");
            let hex = file.sha256.len() == 64 && file.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            ensure!(hex, "files: {name}: sha256: {:?} is not allowed; allowed: 64 hexadecimal digits", file.sha256);
        }
        Ok(lock)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Size of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Whether every file is there and has its size.
    ///
    /// # Errors
    /// Names the first file that is missing or has another size.
    pub fn check_sizes(&self, folder: &Path) -> Result<()> {
        self.files.iter().try_for_each(|(name, file)| file.check_size(&folder.join(name)))
    }

    /// Whether the files have their hashes. Those that somebody has hashed already are in `known`, by
    /// path; of the others only the small ones are hashed.
    ///
    /// # Errors
    /// Names the first file that has another hash.
    pub fn check_hashes(&self, folder: &Path, known: &[(String, String)]) -> Result<()> {
        for (name, file) in &self.files {
            let path = folder.join(name);
            match known.iter().find(|(label, _)| label == name) {
                Some((_, found)) => file.compare(&path, found)?,
                None if file.bytes <= SMALL => file.check(&path)?,
                None => {}
            }
        }
        Ok(())
    }
}

impl LockedFile {
    /// What the file at `path` is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let describe = || Ok(Self { bytes: fs::metadata(path)?.len(), sha256: hash_file(path)? });
        describe().map_err(|error: std::io::Error| anyhow!("cannot read {}: {error}", path.display()))
    }

    /// Whether the file at `path` has the size and the hash.
    ///
    /// # Errors
    /// Says what it has.
    pub fn check(&self, path: &Path) -> Result<()> {
        self.check_size(path)?;
        let found = hash_file(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.compare(path, &found)
    }

    fn check_size(&self, path: &Path) -> Result<()> {
        let found = fs::metadata(path).map_err(|error| anyhow!("{}: {error}", path.display()))?.len();
        ensure!(found == self.bytes, "{}: {found} bytes are there, the lock says {}", path.display(), self.bytes);
        Ok(())
    }

    fn compare(&self, path: &Path, found: &str) -> Result<()> {
        let pinned = &self.sha256;
        ensure!(found == pinned, "{}: sha256 is {found}, not {pinned}, which the lock says", path.display());
        Ok(())
    }
}

/// Whether a path of a lock leads to a file below its folder.
fn is_inside(name: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    name.split('/').all(plain) && name.len() <= 1024
}

/// The folder whose lock speaks of `path`: the path itself, or the folder of a model in one file.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new(".")).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(folder: &Path, files: &[(&str, &str)]) -> Lock {
        let file = |(name, text): &(&str, &str)| {
            std::fs::write(folder.join(name), text).unwrap();
            ((*name).to_owned(), LockedFile::of(&folder.join(name)).unwrap())
        };
        Lock::new(files.iter().map(file).collect())
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(place.path()).unwrap(), None);
        let mut lock = locked(place.path(), &[("config.json", "{}")]);
        lock.repository = Some("owner/name".into());
        std::fs::write(place.path().join(Lock::FILE), lock.to_bytes()).unwrap();
        assert_eq!(Lock::read(place.path()).unwrap(), Some(lock.clone()));
        assert_eq!(lock.bytes(), 2);
    }

    #[test]
    fn s13_a_lock_that_leads_out_of_its_folder_is_refused() {
        for name in ["../config.json", "/etc/passwd", "a//b", "a/../../b", "a\\b"] {
            let files = serde_json::json!({ name: { "bytes": 1, "sha256": "0".repeat(64) } });
            let text = serde_json::json!({ "version": 1, "files": files }).to_string();
            let error = format!("{:#}", Lock::parse(text.as_bytes()).unwrap_err());
            assert!(error.contains("below the model's folder"), "{error}");
        }
        let error = format!("{:#}", Lock::parse(br#"{"version": 2, "files": {}}"#).unwrap_err());
        assert!(error.contains("version: 2 is not allowed"), "{error}");
    }

    #[test]
    fn s13_a_file_of_another_size_or_hash_is_named() {
        let place = tempfile::tempdir().unwrap();
        let lock = locked(place.path(), &[("a", "some"), ("b", "more")]);
        lock.check_sizes(place.path()).unwrap();
        lock.check_hashes(place.path(), &[]).unwrap();
        let told = [("b".to_owned(), "00".to_owned())];
        let error = lock.check_hashes(place.path(), &told).unwrap_err().to_string();
        assert!(error.contains("/b: sha256 is 00, not "), "{error}");
        std::fs::write(place.path().join("a"), "same").unwrap();
        lock.check_sizes(place.path()).unwrap();
        let error = lock.check_hashes(place.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("/a: sha256 is "), "{error}");
        std::fs::write(place.path().join("a"), "so").unwrap();
        let error = lock.check_sizes(place.path()).unwrap_err().to_string();
        assert!(error.contains("/a: 2 bytes are there, the lock says 4"), "{error}");
    }
}
