//! Brings a pinned model from the hub.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use clap::builder::FalseyValueParser;
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::manifest::Model;
use super::verify;
use crate::exit::{Exit, OrExit, Refusal};
use crate::print;

/// How to reach the hub; the variables are those of its own tools.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hub")]
pub(crate) struct HubOptions {
    /// Never call out: use only what the hub's cache on this machine already holds
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = FalseyValueParser::new())]
    pub(crate) offline: bool,
    /// Address of the hub, for a mirror
    #[arg(long = "hub-endpoint", id = "hub_endpoint", env = "HF_ENDPOINT", default_value = "https://huggingface.co")]
    pub(crate) address: String,
    /// Folder of the hub's tools; its cache is in hub/ below [default: ~/.cache/huggingface]
    #[arg(long = "hub-home", id = "hub_home", env = "HF_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Token for repositories that ask for one [default: that of `hf auth login`]
    #[arg(long = "hub-token", id = "hub_token", env = "HF_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// Puts `model` into `folder`; files that are there and right stay.
pub(crate) fn pull(model: &Model, folder: &Path, hub: &HubOptions) -> Result<(), Refusal> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let source = Source::open(model, hub)?;
    for (name, pinned) in &model.files {
        let path = folder.join(name);
        if path.is_file() && verify::sha256(&path)? == *pinned {
            print::note(format_args!("{name}: is here already"));
            continue;
        }
        let found = source.file(name)?;
        place(&found, &path, pinned).with_context(|| format!("{}: {name}", model.name))?;
        print::note(format_args!("{name}: sha256 is right"));
    }
    Ok(())
}

struct Source {
    cache: Cache,
    repo: Repo,
    /// None: never call out.
    remote: Option<ApiRepo>,
}

impl Source {
    fn open(model: &Model, hub: &HubOptions) -> anyhow::Result<Self> {
        let cache = match &hub.home {
            Some(home) => Cache::new(home.join("hub")),
            None => Cache::default(),
        };
        let repo = Repo::with_revision(model.repository.clone(), RepoType::Model, model.revision.clone());
        if hub.offline {
            return Ok(Self { cache, repo, remote: None });
        }
        let token = hub.token.clone().or_else(|| cache.token());
        let builder = ApiBuilder::from_cache(cache.clone()).with_endpoint(hub.address.clone());
        let api = builder.with_token(token).with_progress(print::is_watched()).with_retries(3).build();
        let remote = api.context("cannot set up the hub's client")?.repo(repo.clone());
        Ok(Self { cache, repo, remote: Some(remote) })
    }

    fn file(&self, name: &str) -> Result<PathBuf, Refusal> {
        // The cache knows a snapshot by its commit.
        let cached = self.cache.path().join(self.repo.folder_name());
        let cached = cached.join("snapshots").join(self.repo.revision()).join(name);
        if cached.is_file() {
            return Ok(cached);
        }
        match &self.remote {
            None => Err(anyhow!(
                "offline: {name} of {} is not in the hub's cache ({}) and must not be fetched; \
                 pull without --offline and HF_HUB_OFFLINE, or put the files there yourself",
                self.repo.url(),
                self.cache.path().display()
            ))
            .or_exit(Exit::Usage),
            Some(remote) => {
                print::note(format_args!("{name}: from {}", remote.url(name)));
                let found = remote.download(name);
                found.with_context(|| format!("cannot fetch {}", remote.url(name))).or_exit(Exit::Failed)
            }
        }
    }
}

/// Copies under another name, and renames once the hash is right: a model folder never holds a
/// file that is not what was pinned.
fn place(from: &Path, to: &Path, pinned: &str) -> anyhow::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".pull-").permissions(readable()).tempfile_in(folder)?;
    std::io::copy(&mut File::open(from)?, file.as_file_mut())?;
    let found = verify::sha256(file.path())?;
    if found != pinned {
        anyhow::bail!(
            "sha256 is {found}, not {pinned}; {} is damaged or not the pinned file: remove it",
            from.display()
        );
    }
    file.persist(to)?;
    Ok(())
}

/// Models are no secret: others may read what tempfile would keep to the user.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o644)
}
