//! `shanshui models list`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use shanshui_model::{CachedSnapshot, Lock};
use shanshui_pipeline::Layout;

use crate::data::DataDir;
use crate::exit::{Exit, Refusal};
use crate::models::locate::ModelFolders;
use crate::models::manifest::{self, Model};
use crate::print;

/// Prints the listed models, then all others that are here.
pub(super) fn list(folders: &ModelFolders, layouts: &[Layout], data: &DataDir) -> Result<Exit, Refusal> {
    let mut here = found(folders, layouts, data);
    for model in &manifest::models()? {
        let place = here.remove(&model.name).map_or("-".to_owned(), |(path, _)| path.display().to_string());
        let Model { name, kind, about, repository, revision, licence, .. } = model;
        let bytes = model.bytes.map_or("size as pull tells".into(), |bytes| DecimalBytes(bytes).to_string());
        let revision = revision.get(..12).unwrap_or(revision);
        print::line(format_args!("{name:24} {kind}, {bytes}, {licence}: {about}"));
        print::line(format_args!("{:24} {repository}@{revision}  {place}", ""));
    }
    for (name, (path, kind)) in here {
        print::line(format_args!("{name:24} {kind}, {}: {}", origin(&path), path.display()));
    }
    Ok(Exit::Done)
}

/// What is known of a model that is not listed.
fn origin(path: &Path) -> String {
    if let Some(cached) = CachedSnapshot::of(path) {
        return format!("in the hub's cache at {}", cached.commit.get(..12).unwrap_or(&cached.commit));
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let Ok(Some(lock)) = Lock::read(folder) else { return "not pinned".to_owned() };
    let (Some(repository), Some(commit)) = (&lock.repository, &lock.commit) else { return "not pinned".to_owned() };
    let licence = lock.licence.as_deref().unwrap_or("licence not stated");
    format!("{}, {licence}, {repository}@{}", DecimalBytes(lock.bytes()), commit.get(..12).unwrap_or(commit))
}

/// All models that are here, by name; the first folder that has a name wins.
fn found(folders: &ModelFolders, layouts: &[Layout], data: &DataDir) -> BTreeMap<String, (PathBuf, &'static str)> {
    let mut found = BTreeMap::new();
    for folder in folders.all(data) {
        for path in entries(&folder) {
            // A folder that is no model may be an owner's.
            let own = known(&path, layouts).map(|model| vec![model]);
            let folders = || entries(&path).into_iter().filter(|path| path.is_dir());
            let below = || folders().filter_map(|path| known(&path, layouts)).collect();
            for (path, kind) in own.unwrap_or_else(below) {
                found.entry(name(&path, &folder)).or_insert((path, kind));
            }
        }
    }
    for path in folders.hub.cache().iter().flat_map(|cache| entries(cache)) {
        let cached = known(&path, layouts).and_then(|(path, kind)| Some((CachedSnapshot::of(&path)?, path, kind)));
        if let Some((cached, path, kind)) = cached {
            found.entry(cached.repository).or_insert((path, kind));
        }
    }
    found
}

/// The name by which the commands find it.
fn name(path: &Path, folder: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    // A model in one file has the name of the folder that it was pulled into, or its own.
    let own = if path.is_file() { below.with_extension("") } else { below.to_owned() };
    let into = below.parent().filter(|into| path.is_file() && !into.as_os_str().is_empty());
    into.unwrap_or(&own).to_string_lossy().into_owned()
}

/// The model at a place, and what it is for.
fn known(path: &Path, layouts: &[Layout]) -> Option<(PathBuf, &'static str)> {
    layouts.iter().find_map(|layout| Some(((layout.find)(path).ok()?, layout.kind)))
}

/// What a folder holds; names with a dot in front are not looked at.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let plain = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    plain.map(|entry| entry.path()).collect()
}
