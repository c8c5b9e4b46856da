//! Which folders are a Whisper's, and which files of a repository such a folder needs.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::Value;
use shanshui_model::snapshot;
use shanshui_pipeline::serve::Offer;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const SINGLE: &str = "model.safetensors";
const SHARDS: &str = "model.safetensors.index.json";
const CTRANSLATE2: &str = "model.bin";

/// Small files that are taken along where they are there.
const BESIDE: [&str; 6] = [
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocabulary.txt",
    "vocabulary.json",
];

/// Largest config that is looked into for a type.
const MAX_CONFIG: u64 = 1 << 20;

/// The Whisper at `place`: a folder, or the folder of a repository in the hub's cache.
///
/// # Errors
/// Says what is allowed.
pub fn find(place: &Path) -> Result<PathBuf> {
    let folder = snapshot(place)?.unwrap_or_else(|| place.to_owned());
    let weights = [CTRANSLATE2, SINGLE, SHARDS].iter().any(|name| folder.join(name).is_file());
    if !weights || !folder.join(CONFIG).is_file() {
        bail!("{} is not allowed; allowed: a folder with config.json, or a model's name", place.display());
    }
    match model_type(&folder) {
        Some(other) if other != "whisper" => Err(no_whisper(&other).context(folder.display().to_string())),
        _ => Ok(folder),
    }
}

/// The files of a repository that a Whisper needs.
///
/// # Errors
/// When it is no Whisper, or only in a format that is not read.
pub fn files(offer: &Offer<'_>) -> Result<Vec<String>> {
    if let Some(other) = offer.config["model_type"].as_str().filter(|kind| *kind != "whisper") {
        return Err(no_whisper(other));
    }
    ensure!(offer.has(CONFIG), "it has no {CONFIG}");
    let mut wanted: Vec<String> = vec![CONFIG.into()];
    wanted.extend(weights(offer)?);
    ensure!(offer.has(TOKENIZER), "it has no {TOKENIZER}, which a Whisper needs");
    wanted.push(TOKENIZER.into());
    wanted.extend(BESIDE.iter().filter(|name| offer.has(name)).map(|name| (*name).to_owned()));
    Ok(wanted)
}

fn weights(offer: &Offer<'_>) -> Result<Vec<String>> {
    if offer.has(SINGLE) {
        return Ok(vec![SINGLE.into()]);
    }
    if offer.has(SHARDS) {
        let shard = |name: &&String| name.starts_with("model-") && name.ends_with(".safetensors");
        let shards = offer.files.iter().filter(shard).cloned();
        return Ok(std::iter::once(SHARDS.to_owned()).chain(shards).collect());
    }
    if offer.has(CTRANSLATE2) {
        return Ok(vec![CTRANSLATE2.into()]);
    }
    let pickle = offer.files.iter().find(|name| name.starts_with("pytorch_model") || name.ends_with(".pt"));
    let only = pickle.map(|name| format!("; {name} is a pickle, which can run code when it is read"));
    bail!("it has no {SINGLE}, {SHARDS} or {CTRANSLATE2}{}", only.unwrap_or_default())
}

fn model_type(folder: &Path) -> Option<String> {
    let path = folder.join(CONFIG);
    let small = path.metadata().ok()?.len() <= MAX_CONFIG;
    let config: Value = serde_json::from_slice(&small.then(|| std::fs::read(&path).ok())??).ok()?;
    config["model_type"].as_str().map(str::to_owned)
}

fn no_whisper(kind: &str) -> anyhow::Error {
    anyhow!("model_type: {kind:?} is not allowed; allowed: whisper")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], config: &Value) -> Result<Vec<String>> {
        let all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        files(&Offer { files: &all, config, full: false })
    }

    #[test]
    fn of_a_repository_only_the_files_that_are_read_are_needed() {
        let hub = ["README.md", "config.json", "flax_model.msgpack", "generation_config.json", "model.safetensors"];
        let more = ["model.fp32-00001-of-00002.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.json"];
        let names = chosen(&[&hub[..], &more[..]].concat(), &serde_json::json!({ "model_type": "whisper" })).unwrap();
        assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"]);
        let shards = ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"];
        let names =
            chosen(&[&shards[..], &["model-00002-of-00002.safetensors", "tokenizer.json"]].concat(), &Value::Null);
        assert_eq!(names.unwrap().len(), 5);
        let names = chosen(&["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"], &Value::Null).unwrap();
        assert_eq!(names, ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"]);
    }

    #[test]
    fn what_is_no_whisper_or_only_a_pickle_is_called_that() {
        let llama = serde_json::json!({ "model_type": "llama" });
        let error = chosen(&["config.json", "model.safetensors", "tokenizer.json"], &llama).unwrap_err().to_string();
        assert!(error.contains("model_type: \"llama\" is not allowed"), "{error}");
        let error = chosen(&["config.json", "pytorch_model.bin"], &Value::Null).unwrap_err().to_string();
        assert!(error.contains("pytorch_model.bin is a pickle"), "{error}");
    }

    #[test]
    fn a_folder_of_the_hubs_cache_is_its_snapshot_and_another_kind_of_model_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("models--openai--whisper-tiny");
        let folder = root.join("snapshots/0123abcd");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.safetensors"), "x").unwrap();
        assert!(find(&root).is_err());
        std::fs::write(folder.join("config.json"), r#"{"model_type": "whisper"}"#).unwrap();
        assert_eq!(find(&root).unwrap(), folder);
        std::fs::write(folder.join("config.json"), r#"{"model_type": "bert"}"#).unwrap();
        assert!(format!("{:#}", find(&root).unwrap_err()).contains("\"bert\" is not allowed"));
    }
}
