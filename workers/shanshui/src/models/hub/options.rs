//! Settings of the hub; the variables are those of its own tools.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use shanshui_pipeline::config::Secret;

/// How to reach the hub.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hub")]
pub(crate) struct HubOptions {
    /// Never call out: use only what the hub's cache on this machine already holds
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = FalseyValueParser::new())]
    pub(crate) offline: bool,
    /// Address of the hub, for a mirror
    #[arg(long = "hub-endpoint", id = "hub_endpoint", env = "HF_ENDPOINT", default_value = "https://huggingface.co")]
    pub(crate) address: String,
    /// Token for repositories that ask for one [default: that of `hf auth login`]
    #[arg(long = "hub-token", id = "hub_token", env = "HF_TOKEN", hide_env_values = true)]
    token: Option<Secret>,
}

/// Where the hub's tools keep their files.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Models")]
pub(crate) struct HubFolders {
    /// Folder of the hub's tools; their cache is in hub/ below [default: ~/.cache/huggingface]
    #[arg(long = "hub-home", id = "hub_home", env = "HF_HOME", value_name = "DIR", global = true)]
    pub(crate) home: Option<PathBuf>,
    /// Cache of the hub's tools, whose models are found by OWNER/NAME
    #[arg(long = "hub-cache", id = "hub_cache", env = "HF_HUB_CACHE", value_name = "DIR", global = true)]
    pub(crate) cache: Option<PathBuf>,
}

impl HubFolders {
    /// The folder with `models--OWNER--NAME`; none without a home directory.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        given(self.cache.as_ref()).or_else(|| Some(self.home()?.join("hub")))
    }

    fn home(&self) -> Option<PathBuf> {
        // The variable of the XDG base directory specification is not a setting of ours.
        let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let usual = || cache().or_else(|| Some(std::env::home_dir()?.join(".cache")));
        given(self.home.as_ref()).or_else(|| Some(usual()?.join("huggingface")))
    }
}

impl HubOptions {
    /// The token that was given, or the one that a login left.
    pub(crate) fn token(&self, folders: &HubFolders) -> Option<Secret> {
        let left = || std::fs::read_to_string(folders.home()?.join("token")).ok();
        let token = self.token.as_ref().map(|token| token.reveal().to_owned()).or_else(left)?;
        let token = token.trim();
        (!token.is_empty()).then(|| token.to_owned().into())
    }
}

fn given(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).cloned()
}
