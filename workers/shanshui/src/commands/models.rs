//! `shanshui models`: what is pinned, what is here, what is whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shanshui_pipeline::Layout;

use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::locate::ModelFolders;
use crate::models::manifest::{self, Model};
use crate::models::pull::{self, HubOptions};
use crate::models::verify;
use crate::print;

/// List, fetch and verify models
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
    #[command(flatten)]
    folders: ModelFolders,
}

#[derive(Debug, Clone, Subcommand)]
enum ModelsCommand {
    /// List the pinned models, and all others found in the model folders
    List,
    /// Fetch a pinned model: at its revision, every file checked against its SHA-256
    Pull {
        /// Name, as listed
        name: String,
        #[command(flatten)]
        hub: HubOptions,
    },
    /// Compare files with their pinned SHA-256; exit code 1 if any differs
    Verify {
        /// Name, as listed [default: every pinned model that is here]
        name: Option<String>,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: ModelsArgs, layouts: Vec<Layout>, data: DataDir) -> Result<Exit, Refusal> {
    // Hashing and fetching block for minutes.
    let work = move || match args.command {
        ModelsCommand::List => list(&args.folders, &layouts, &data),
        ModelsCommand::Pull { name, hub } => {
            let model = manifest::model(&name).or_exit(Exit::Usage)?;
            let folder = args.folders.target(&data).join(&model.name);
            pull::pull(&model, &folder, &hub)?;
            print::line(folder.display());
            Ok(Exit::Done)
        }
        ModelsCommand::Verify { name } => verify(name.as_deref(), &args.folders, &data),
    };
    tokio::task::spawn_blocking(work).await?
}

fn list(folders: &ModelFolders, layouts: &[Layout], data: &DataDir) -> Result<Exit, Refusal> {
    let models = manifest::models()?;
    for model in &models {
        let place = find(model, folders, data).map_or("-".to_owned(), |path| path.display().to_string());
        let megabytes = model.bytes / 1_000_000;
        let Model { name, kind, about, repository, revision, licence, .. } = model;
        print::line(format_args!("{name:24} {kind}, {megabytes} MB, {licence}: {about}"));
        print::line(format_args!("{:24} {repository}@{}  {place}", "", &revision[..12]));
    }
    let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    for (path, kind) in others((folders, data), layouts, &known) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        print::line(format_args!("{name:24} {kind}, not pinned: {}", path.display()));
    }
    Ok(Exit::Done)
}

/// Models in the folders that the manifest does not name.
fn others(
    (folders, data): (&ModelFolders, &DataDir),
    layouts: &[Layout],
    known: &[&str],
) -> Vec<(PathBuf, &'static str)> {
    let entries = folders.all(data).into_iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let mut found = Vec::new();
    for path in entries.flatten().filter_map(|entry| Some(entry.ok()?.path())) {
        let pinned = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| known.contains(&name));
        let layout = layouts.iter().find(|layout| (layout.find)(&path).is_ok());
        if let Some(layout) = layout.filter(|_| !pinned) {
            found.push((path, layout.kind));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

fn verify(name: Option<&str>, folders: &ModelFolders, data: &DataDir) -> Result<Exit, Refusal> {
    let models = match name {
        Some(name) => vec![manifest::model(name).or_exit(Exit::Usage)?],
        None => manifest::models()?,
    };
    let here: Vec<(Model, PathBuf)> =
        models.into_iter().filter_map(|model| find(&model, folders, data).map(|path| (model, path))).collect();
    if here.is_empty() {
        let wanted = name.unwrap_or("any pinned model");
        let places: Vec<String> = folders.all(data).iter().map(|path| format!("  {}", path.display())).collect();
        return Err(anyhow::anyhow!("{wanted} is not in\n{}", places.join("\n")).into());
    }
    let mut exit = Exit::Done;
    for (model, path) in here {
        let faults = verify::faults(&model, &path)?;
        let verdict = if faults.is_empty() { "whole" } else { "damaged" };
        print::line(format_args!("{}: {verdict}  {}", model.name, path.display()));
        for fault in faults {
            print::line(format_args!("  {fault}"));
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// The first folder of the model's name that holds any of it.
fn find(model: &Model, folders: &ModelFolders, data: &DataDir) -> Option<PathBuf> {
    folders.all(data).into_iter().map(|folder| folder.join(&model.name)).find(|path| path.is_dir())
}
