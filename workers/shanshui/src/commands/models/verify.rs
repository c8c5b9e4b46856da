//! `shanshui models verify`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use shanshui_model::Lock;

use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::locate::ModelFolders;
use crate::models::manifest::{self, Model};
use crate::models::verify;
use crate::print;

/// A model with hashes, and where it lies.
struct Pinned {
    name: String,
    folder: PathBuf,
    hashes: Hashes,
}

enum Hashes {
    Listed(Model),
    Locked(Lock),
}

/// Prints for each model whether it is whole.
pub(super) fn verify(name: Option<&str>, folders: &ModelFolders, data: &DataDir) -> Result<Exit, Refusal> {
    let here: Vec<Pinned> = match name {
        Some(name) => find(name, folders, data).into_iter().collect(),
        None => all(folders, data)?,
    };
    if here.is_empty() {
        if let Some(name) = name.filter(|name| !name.contains('/')) {
            manifest::model(name).or_exit(Exit::Usage)?;
        }
        let wanted = name.unwrap_or("any model with hashes");
        let places: Vec<String> = folders.all(data).iter().map(|path| format!("  {}", path.display())).collect();
        return Err(anyhow!("{wanted} is not in\n{}", places.join("\n")).into());
    }
    let mut exit = Exit::Done;
    for model in here {
        let faults = model.faults()?;
        let verdict = if faults.is_empty() { "whole" } else { "damaged" };
        print::line(format_args!("{}: {verdict}  {}", model.name, model.folder.display()));
        for fault in faults {
            print::line(format_args!("  {fault}"));
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

impl Pinned {
    fn at(folder: PathBuf, name: String) -> Option<Self> {
        let listed = || manifest::model(&name).ok().filter(|model| !model.files.is_empty());
        let hashes = match Lock::read(&folder) {
            Ok(Some(lock)) => Hashes::Locked(lock),
            _ => Hashes::Listed(listed().filter(|_| folder.is_dir())?),
        };
        Some(Self { name, folder, hashes })
    }

    fn faults(&self) -> anyhow::Result<Vec<String>> {
        match &self.hashes {
            Hashes::Listed(model) => verify::faults(model, &self.folder),
            Hashes::Locked(lock) => Ok(verify::lock_faults(lock, &self.folder)),
        }
    }
}

fn find(name: &str, folders: &ModelFolders, data: &DataDir) -> Option<Pinned> {
    folders.all(data).into_iter().find_map(|folder| Pinned::at(folder.join(name), name.to_owned()))
}

/// Every model with hashes; the first folder that has a name wins.
fn all(folders: &ModelFolders, data: &DataDir) -> anyhow::Result<Vec<Pinned>> {
    let mut found: Vec<Pinned> = Vec::new();
    for folder in folders.all(data) {
        for path in below(&folder).into_iter().flat_map(|path| [vec![path.clone()], below(&path)].concat()) {
            let name = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
            if found.iter().all(|known| known.name != name) {
                found.extend(Pinned::at(path, name));
            }
        }
    }
    Ok(found)
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let plain =
        |path: &PathBuf| path.is_dir() && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut folders: Vec<_> = entries.filter(plain).collect();
    folders.sort();
    folders
}
