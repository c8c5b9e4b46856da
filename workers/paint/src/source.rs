//! Where a model lies: a folder in the diffusers layout, a folder of the hub's cache, or one file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use shanshui_model::{CachedSnapshot, Lock, snapshot};

/// A model, as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in receipts: that of the repository where the path tells it, else of the folder or file.
    pub name: String,
    /// The folder with `model_index.json`, or the file.
    pub path: PathBuf,
    /// Whether it is all in one file.
    pub single: bool,
}

impl Source {
    /// Finds the model at `path`.
    ///
    /// # Errors
    /// Says what is there instead, and what to do.
    pub fn find(path: &Path) -> Result<Self> {
        if path.is_file() {
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or("model");
            let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
            ensure!(
                ending == "safetensors",
                "{}: one file is allowed as .safetensors only; .ckpt and .pt are pickles, which can run code when they \
                 are read, and .gguf is not supported",
                path.display()
            );
            return Ok(Self { name: name.to_owned(), path: path.to_owned(), single: true });
        }
        if path.join(INDEX).is_file() {
            return Ok(Self { name: name_of(path), path: path.to_owned(), single: false });
        }
        if let Some(file) = only_file(path) {
            return Ok(Self { name: name_of(path), path: file, single: true });
        }
        let Some(folder) = snapshot(path)? else { bail!("{}", nothing_there(path)) };
        let whole = folder.join(INDEX).is_file();
        ensure!(whole, "{}: no {INDEX}: this revision was not downloaded whole", folder.display());
        Ok(Self { name: name_of(&folder), path: folder, single: false })
    }
}

const INDEX: &str = "model_index.json";

/// The one file of a folder that `shanshui models pull OWNER/NAME:FILE` made.
fn only_file(folder: &Path) -> Option<PathBuf> {
    let lock = Lock::read(folder).ok()??;
    let mut files = lock.files.keys().filter(|name| name.ends_with(".safetensors") && !name.contains('/'));
    let file = folder.join(files.next()?);
    (files.next().is_none() && file.is_file()).then_some(file)
}

/// The name of the model in `folder` as far as its path tells.
fn name_of(folder: &Path) -> String {
    let own = || folder.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
    CachedSnapshot::of(folder).map_or_else(own, |cached| cached.repository)
}

fn nothing_there(path: &Path) -> String {
    let text = path.display().to_string();
    let parts: Vec<&str> = text.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && !part.starts_with('.');
    if !path.exists() && parts.len() == 2 && parts.iter().all(plain) {
        return format!(
            "{text} is the name of a repository, and it is neither among the models nor in the hub's cache; \
             run `shanshui models pull {text}`"
        );
    }
    format!(
        "{text}/model_index.json is missing; allowed: a folder in the diffusers layout, a models--OWNER--NAME folder \
         of the hub's cache, or a .safetensors file"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (revision, whole) in [("0123abcd", true), ("fedcba98", false)] {
            let folder = place.path().join("models--some-owner--sd--tiny/snapshots").join(revision);
            std::fs::create_dir_all(&folder).unwrap();
            if whole {
                std::fs::write(folder.join("model_index.json"), "{}").unwrap();
            }
        }
        std::fs::create_dir(place.path().join("models--some-owner--sd--tiny/refs")).unwrap();
        place
    }

    #[test]
    fn a_folder_of_the_hubs_cache_is_the_snapshot_that_main_names() {
        let place = cache();
        let root = place.path().join("models--some-owner--sd--tiny");
        let error = Source::find(&root).unwrap_err().to_string();
        assert!(error.contains("2 snapshots"), "{error}");
        std::fs::write(root.join("refs/main"), "0123abcd\n").unwrap();
        let found = Source::find(&root).unwrap();
        assert_eq!((found.name.as_str(), found.single), ("some-owner/sd--tiny", false));
        assert_eq!(found.path, root.join("snapshots/0123abcd"));
        assert_eq!(Source::find(&root.join("snapshots/0123abcd")).unwrap().name, "some-owner/sd--tiny");
        std::fs::write(root.join("refs/main"), "fedcba98").unwrap();
        let error = Source::find(&root).unwrap_err().to_string();
        assert!(error.contains("not downloaded whole"), "{error}");
        std::fs::write(root.join("refs/main"), "../../../etc").unwrap();
        assert!(Source::find(&root).unwrap_err().to_string().contains("is not a revision"));
    }

    #[test]
    fn what_is_no_model_is_told_with_what_to_do() {
        let error = Source::find(Path::new("stabilityai/sd-turbo")).unwrap_err().to_string();
        assert!(
            error.contains("the name of a repository") && error.contains("shanshui models pull stabilityai/sd-turbo"),
            "{error}"
        );
        let error = Source::find(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/model_index.json is missing"), "{error}");
        let place = tempfile::tempdir().unwrap();
        let pickle = place.path().join("model.ckpt");
        std::fs::write(&pickle, "PK").unwrap();
        assert!(Source::find(&pickle).unwrap_err().to_string().contains("pickles"));
    }
}
