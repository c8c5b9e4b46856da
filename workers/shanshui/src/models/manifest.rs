//! The listed models: those for speech are pinned, those for pictures are resolved when they are pulled.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use serde::Deserialize;

/// One model, as listed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// Its name, and the name of its folder.
    pub(crate) name: String,
    /// What it is for, as a stage's [`shanshui_pipeline::Layout`] says it.
    pub(crate) kind: String,
    /// When to choose it, in a few words.
    pub(crate) about: String,
    /// Repository on the hub.
    pub(crate) repository: String,
    /// Commit, 40 hexadecimal digits; without pinned files a branch, which a pull resolves.
    pub(crate) revision: String,
    /// Licence of the weights.
    pub(crate) licence: String,
    /// Bytes of all files together; about so many, or unknown, without pinned files.
    pub(crate) bytes: Option<u64>,
    /// SHA-256 in hexadecimal by file name; none where the hub's metadata at the pull's commit count.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    model: Vec<Model>,
}

/// All listed models.
pub(crate) fn models() -> anyhow::Result<Vec<Model>> {
    let manifest: Manifest = toml::from_str(include_str!("manifest.toml")).context("the manifest of models")?;
    Ok(manifest.model)
}

/// The listed model `name`.
pub(crate) fn model(name: &str) -> anyhow::Result<Model> {
    let models = models()?;
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let unknown = anyhow!("name: {name} is not allowed; allowed: {}", names.join(", "));
    models.iter().find(|model| model.name == name).cloned().ok_or(unknown)
}

#[cfg(test)]
mod tests {
    use super::models;

    #[test]
    fn every_pinned_model_has_a_full_revision_and_a_sha256_for_every_file() {
        let models = models().unwrap();
        let hex =
            |text: &str, digits| text.len() == digits && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        for model in models.iter().filter(|model| !model.files.is_empty()) {
            assert!(hex(&model.revision, 40), "{}: {}", model.name, model.revision);
            assert!(model.files.values().all(|sha256| hex(sha256, 64)), "{:?}", model.files);
            assert!(model.files.keys().all(|name| !name.contains("..") && !name.starts_with('/')));
            assert!(model.files.contains_key("config.json") && model.bytes.unwrap() > 1_000_000);
        }
    }

    #[test]
    fn no_two_listed_models_share_a_name() {
        let mut names: Vec<String> = models().unwrap().into_iter().map(|model| model.name).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
