//! Compares files with their pinned hashes.

use std::path::Path;

use anyhow::Context;
use shanshui_model::{Lock, hash_file};

use super::manifest::Model;

/// What is wrong with the model in `folder`, one line each; nothing when it is whole.
pub(crate) fn faults(model: &Model, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (name, pinned) in &model.files {
        let path = folder.join(name);
        if !path.is_file() {
            faults.push(format!("{name}: missing"));
            continue;
        }
        let found = hash_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if found != *pinned {
            faults.push(format!("{name}: sha256 is {found}, not {pinned}"));
        }
    }
    Ok(faults)
}

/// The same for a model with a lock.
pub(crate) fn lock_faults(lock: &Lock, folder: &Path) -> Vec<String> {
    let check = |(name, file): (&String, &shanshui_model::LockedFile)| file.check(&folder.join(name)).err();
    lock.files.iter().filter_map(check).map(|error| format!("{error:#}")).collect()
}
