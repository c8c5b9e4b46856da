//! Where a model came from, as far as its folder tells.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cache::CachedSnapshot;
use crate::lock::{Lock, folder_of};

/// A model's name and where it came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name for jobs and receipts: `OWNER/NAME` where the path says so, else that of the folder or file.
    pub name: String,
    /// `OWNER/NAME` on the hub.
    pub repository: Option<String>,
    /// Commit of that repository.
    pub commit: Option<String>,
    folder: PathBuf,
    lock: Option<Lock>,
}

impl Origin {
    /// Reads what lies beside the model at `path`, a folder or a file, and compares the sizes of its
    /// files with the lock, if there is one.
    ///
    /// # Errors
    /// When the lock cannot be read, or a file is missing or has another size.
    pub fn of(path: &Path) -> Result<Self> {
        let folder = folder_of(path);
        let own = own_name(path);
        let file = path.is_file().then(|| path.file_name().map(|name| name.to_string_lossy().into_owned())).flatten();
        // A lock in the folder of a file may be another model's.
        let lock = Lock::read(&folder)?.filter(|lock| file.is_none_or(|name| lock.files.contains_key(&name)));
        if let Some(lock) = lock {
            lock.check_sizes(&folder).context(DAMAGED)?;
            let repository = lock.repository.clone();
            let nested = repository.clone().filter(|repository| path.ends_with(repository));
            let commit = lock.commit.clone();
            return Ok(Self { name: nested.unwrap_or(own), repository, commit, folder, lock: Some(lock) });
        }
        let (repository, commit) = CachedSnapshot::of(&folder).map(|cached| (cached.repository, cached.commit)).unzip();
        let name = repository.clone().filter(|_| path.is_dir()).unwrap_or(own);
        Ok(Self { name, repository, commit, folder, lock: None })
    }

    /// Compares the files with the lock, if there is one; `known` has the hashes that are known, by path
    /// below the folder.
    ///
    /// # Errors
    /// Names the file that is not what the lock says.
    pub fn check(&self, known: &[(String, String)]) -> Result<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.check_hashes(&self.folder, known)).context(DAMAGED)
    }

    /// Whether there is a lock.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// What a receipt says of the model: its name, and repository and commit where they are known.
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "name": self.name });
        if let Some(repository) = &self.repository {
            json["repository"] = repository.as_str().into();
        }
        if let Some(commit) = &self.commit {
            json["commit"] = commit.as_str().into();
        }
        json
    }
}

const DAMAGED: &str = "the model is not what was pulled; pull it again";

fn own_name(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LockedFile;

    #[test]
    fn a_path_in_the_hubs_cache_tells_repository_and_commit() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("models--some-owner--sd--tiny/snapshots/0123abcd");
        std::fs::create_dir_all(&folder).unwrap();
        let origin = Origin::of(&folder).unwrap();
        let expected =
            json!({ "name": "some-owner/sd--tiny", "repository": "some-owner/sd--tiny", "commit": "0123abcd" });
        assert_eq!(origin.to_json(), expected);
        assert!(!origin.is_locked());
        assert_eq!(Origin::of(place.path()).unwrap().repository, None);
    }

    #[test]
    fn a_lock_tells_them_and_a_damaged_model_is_called_that() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("owner/tiny");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), "{}").unwrap();
        let file = LockedFile::of(&folder.join("config.json")).unwrap();
        let mut lock = Lock::new([("config.json".to_owned(), file)].into());
        (lock.repository, lock.commit) = (Some("owner/tiny".into()), Some("abc".into()));
        std::fs::write(folder.join(Lock::FILE), lock.to_bytes()).unwrap();
        let origin = Origin::of(&folder).unwrap();
        assert_eq!(origin.to_json(), json!({ "name": "owner/tiny", "repository": "owner/tiny", "commit": "abc" }));
        origin.check(&[]).unwrap();
        std::fs::write(folder.join("config.json"), "[]").unwrap();
        let error = format!("{:#}", origin.check(&[]).unwrap_err());
        assert!(error.contains("pull it again") && error.contains("config.json: sha256 is "), "{error}");
        std::fs::write(folder.join("config.json"), "").unwrap();
        let error = format!("{:#}", Origin::of(&folder).unwrap_err());
        assert!(error.contains("0 bytes are there, the lock says 2"), "{error}");
        // A file beside that the lock does not know is another model.
        std::fs::write(folder.join("other.safetensors"), "x").unwrap();
        assert_eq!(Origin::of(&folder.join("other.safetensors")).unwrap().to_json(), json!({ "name": "other" }));
    }
}
