//! Names that weight files have had.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::read_json;

/// The weight files of one part: `STEM.safetensors`, its shards, or a variant of either.
///
/// # Errors
/// When there is none, and what is there instead.
pub(crate) fn file_names(folder: &Path, stem: &str) -> Result<Vec<String>> {
    for variant in ["", ".fp16"] {
        let single = format!("{stem}{variant}.safetensors");
        if folder.join(&single).is_file() {
            return Ok(vec![single]);
        }
        // The second is from before diffusers 0.30.
        for index in
            [format!("{stem}.safetensors.index{variant}.json"), format!("{stem}{variant}.safetensors.index.json")]
        {
            let index = folder.join(index);
            if index.is_file() {
                return shard_names(&index);
            }
        }
    }
    if let Some(other) = only_variant(folder, stem) {
        tracing::warn!(folder = %folder.display(), file = other, "no {stem}.safetensors is there: this one is taken");
        return Ok(vec![other]);
    }
    if let Some(pickle) = find_pickle(folder) {
        bail!("{} is a pickle, which can run code when it is read; only safetensors are", pickle.display());
    }
    bail!("neither {stem}.safetensors nor its fp16 variant nor a sharded index is there")
}

/// The one whole file of another variant: `STEM.non_ema.safetensors`, `STEM.bf16.safetensors`.
fn only_variant(folder: &Path, stem: &str) -> Option<String> {
    let names = folder.read_dir().ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let variant = |name: &String| {
        let middle = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".safetensors"));
        middle.and_then(|middle| middle.strip_prefix('.')).is_some_and(|middle| !middle.contains('.'))
    };
    let mut variants: Vec<_> = names.filter(variant).collect();
    variants.sort_unstable();
    variants.into_iter().next()
}

fn shard_names(index: &Path) -> Result<Vec<String>> {
    let json: Value = read_json(index)?;
    let map = json["weight_map"].as_object().with_context(|| format!("{}: no weight_map", index.display()))?;
    let names: BTreeSet<_> = map.values().filter_map(Value::as_str).map(str::to_owned).collect();
    let inside = |name: &String| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
    if let Some(name) = names.iter().find(|name| !inside(name)) {
        bail!("weight_map: {name:?}, allowed are safetensors files of the same folder");
    }
    Ok(names.into_iter().collect())
}

fn find_pickle(folder: &Path) -> Option<PathBuf> {
    let paths = folder.read_dir().ok()?.flatten().map(|entry| entry.path());
    let pickle =
        |path: &PathBuf| path.extension().is_some_and(|end| ["bin", "ckpt", "pt", "pth"].iter().any(|e| end == *e));
    paths.into_iter().find(pickle)
}
