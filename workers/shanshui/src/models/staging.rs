//! A model that is on its way: it lies beside its place, under a name that nobody takes for a model,
//! and is put there in one step when it is whole. What broke off stays, and the next attempt goes on.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shanshui_model::Lock;

/// The folder of a model on its way; nobody else works in it.
pub(crate) struct Staging {
    folder: PathBuf,
    target: PathBuf,
    _lock: File,
}

/// How the folders begin. A name with a dot in front is no model.
const PREFIX: &str = ".pull-";
/// Letters of a key that tell versions of a model apart.
const KEY: usize = 12;

impl Staging {
    /// The folder for what will be at `target`, in the version that `key` tells; none while another
    /// process works in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn open(target: &Path, key: &str) -> Result<Option<Self>> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let folder = target.with_file_name(format!("{PREFIX}{name}-{}", &key[..KEY.min(key.len())]));
        let open = || fs::create_dir_all(&folder).and_then(|()| File::open(&folder));
        let lock = open().with_context(|| format!("cannot make {}", folder.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { folder, target: target.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", folder.display())),
        }
    }

    /// Where a file of the model goes.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub(crate) fn place(&self, file: &str) -> Result<PathBuf> {
        let path = self.folder.join(file);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(path)
    }

    /// Takes a file that lies elsewhere on this machine, without its bytes if that is possible.
    ///
    /// # Errors
    /// When it can be neither linked nor copied.
    pub(crate) fn take(&self, file: &str, from: &Path) -> Result<PathBuf> {
        let (from, into) = (from.canonicalize()?, self.place(file)?);
        if into.exists() {
            fs::remove_file(&into)?;
        }
        let taken = fs::hard_link(&from, &into).or_else(|_| fs::copy(&from, &into).map(drop));
        taken.with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(into)
    }

    /// Writes the lock and puts the model into its place; what was there is replaced.
    ///
    /// # Errors
    /// When the folder cannot be renamed; what was there then stays.
    pub(crate) fn finish(self, lock: &Lock) -> Result<()> {
        fs::write(self.folder.join(Lock::FILE), lock.to_bytes())?;
        self.forget_others(lock)?;
        let old = self.folder.with_extension("old");
        let replaced = self.target.symlink_metadata().is_ok();
        if replaced {
            fs::rename(&self.target, &old)?;
        }
        if let Err(error) = fs::rename(&self.folder, &self.target) {
            if replaced {
                fs::rename(&old, &self.target)?;
            }
            return Err(error).with_context(|| format!("cannot make {}", self.target.display()));
        }
        if replaced { remove(&old) } else { Ok(()) }
    }

    /// Removes what the lock does not name, and what attempts at other versions left.
    fn forget_others(&self, lock: &Lock) -> Result<()> {
        for path in files_below(&self.folder) {
            let name = path.strip_prefix(&self.folder).map(|name| name.to_string_lossy().into_owned());
            if name.is_ok_and(|name| name != Lock::FILE && !lock.files.contains_key(&name)) {
                fs::remove_file(path)?;
            }
        }
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let others = self.folder.parent().into_iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        for other in others.map(|entry| entry.path()).filter(|path| *path != self.folder) {
            let own = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let version = own.strip_prefix(&format!("{PREFIX}{name}-")).map(|rest| !rest.contains('-'));
            let idle = || File::open(&other).is_ok_and(|folder| folder.try_lock().is_ok());
            if version == Some(true) && idle() {
                remove(&other)?;
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<()> {
    let link = path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir());
    let removed = if link { fs::remove_file(path) } else { fs::remove_dir_all(path) };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// All files below a folder; links are not followed.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path()),
        _ => vec![entry.path()],
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use shanshui_model::LockedFile;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_model_appears_whole_replaces_the_old_one_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("toy");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "old").unwrap();
        let other = Staging::open(&target, "bbbbbbbbbbbbbbbb").unwrap().unwrap();
        fs::write(other.place("half").unwrap(), "x").unwrap();
        drop(other);
        let staging = Staging::open(&target, "aaaaaaaaaaaaaaaa").unwrap().unwrap();
        assert!(Staging::open(&target, "aaaaaaaaaaaaaaaa").unwrap().is_none(), "two at a time");
        let file = staging.place("sub/config.json").unwrap();
        fs::write(&file, "{}").unwrap();
        fs::write(staging.place("stray").unwrap(), "x").unwrap();
        let lock = Lock::new([("sub/config.json".to_owned(), LockedFile::of(&file).unwrap())].into());
        staging.finish(&lock).unwrap();
        assert_eq!(names(place.path()), ["toy"]);
        assert_eq!(names(&target), [Lock::FILE, "sub"]);
    }
}
