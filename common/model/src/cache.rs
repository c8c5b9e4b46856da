//! Folders of the hub's own cache: `models--OWNER--NAME/snapshots/COMMIT`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// How the cache names the folder of a model's repository.
const PREFIX: &str = "models--";

/// What the path of a snapshot tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedSnapshot {
    /// `OWNER/NAME`.
    pub repository: String,
    /// The name of the snapshot's folder.
    pub commit: String,
}

impl CachedSnapshot {
    /// What `folder` is in the hub's cache, if it lies there.
    pub fn of(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let commit = folder.file_name()?.to_str()?.to_owned();
        let cached = folder.parent().filter(|parent| parent.ends_with("snapshots"))?.parent()?;
        let name = cached.file_name().and_then(OsStr::to_str)?.strip_prefix(PREFIX)?;
        Some(Self { repository: name.replacen("--", "/", 1), commit })
    }

    /// The name of a repository's folder in the cache.
    pub fn folder_of(repository: &str) -> String {
        format!("{PREFIX}{}", repository.replace('/', "--"))
    }
}

/// The snapshot that a repository's folder in the cache means: the one of `refs/main`, else the only
/// one. None where `path` is no such folder.
///
/// # Errors
/// When it does not tell which snapshot.
pub fn snapshot(path: &Path) -> Result<Option<PathBuf>> {
    let snapshots = path.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(None);
    }
    let main = path.join("refs/main");
    let revision = if main.is_file() {
        fs::read_to_string(&main).with_context(|| main.display().to_string())?.trim().to_owned()
    } else {
        let names = snapshots.read_dir()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let names: Vec<_> = names.collect();
        let [only] = names.as_slice() else {
            bail!("{}: no refs/main and {} snapshots; name one of them", path.display(), names.len());
        };
        only.clone()
    };
    let plain = !revision.is_empty() && revision.chars().all(|c| c.is_ascii_alphanumeric());
    ensure!(plain, "{}: {revision:?} is not a revision", main.display());
    Ok(Some(snapshots.join(revision)))
}
