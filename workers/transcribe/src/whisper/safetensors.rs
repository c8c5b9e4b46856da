//! Checkpoints of the Hugging Face hub: `model.safetensors`, whole or in shards.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use ::safetensors::Dtype;
use serde::Deserialize;
use shanshui_model::{MAX_HEADER_BYTES, MappedFile, header};

use super::weights::{self, Numbers, Stored, Weights, WeightsError, corrupt};

pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

const SHARD_LIMIT: usize = 64;

pub(super) fn open(folder: &Path) -> Result<Weights, WeightsError> {
    let names = if folder.join(INDEX).is_file() { shards(folder)? } else { BTreeSet::from([SINGLE.to_owned()]) };
    let mut files = Vec::new();
    let mut tensors = HashMap::new();
    for name in names {
        let file = weights::map(&folder.join(name))?;
        read_header(&file, files.len(), &mut tensors)?;
        files.push(file);
    }
    Ok(Weights::new(files, tensors, HashMap::new()))
}

fn read_header(file: &MappedFile, number: usize, tensors: &mut HashMap<String, Stored>) -> Result<(), WeightsError> {
    let (start, metadata) = header(file).map_err(|reason| corrupt(file, reason))?;
    for (name, info) in metadata.tensors() {
        // Files hold counters and the like beside the weights; only a missing tensor is an error.
        let Some(numbers) = numbers(info.dtype) else {
            continue;
        };
        let name = name.strip_prefix("model.").unwrap_or(&name).to_owned();
        let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
        tensors.insert(name, Stored { file: number, bytes, numbers, shape: info.shape.clone(), scale: Vec::new() });
    }
    Ok(())
}

fn numbers(dtype: Dtype) -> Option<Numbers> {
    match dtype {
        Dtype::F32 => Some(Numbers::F32),
        Dtype::F16 => Some(Numbers::F16),
        Dtype::BF16 => Some(Numbers::Bf16),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// File names of the shards, in order.
fn shards(folder: &Path) -> Result<BTreeSet<String>, WeightsError> {
    let path = folder.join(INDEX);
    let unreadable = |source| WeightsError::Unreadable { file: path.clone(), source };
    let corrupt = |reason| WeightsError::Corrupt { file: path.clone(), reason };
    let size = fs::metadata(&path).map_err(unreadable)?.len();
    if size > MAX_HEADER_BYTES {
        return Err(corrupt(format!("{size} bytes, at most {MAX_HEADER_BYTES} are allowed")));
    }
    let text = fs::read(&path).map_err(unreadable)?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    if names.len() > SHARD_LIMIT {
        return Err(corrupt(format!("{} shards, at most {SHARD_LIMIT} are allowed", names.len())));
    }
    // A shard lies beside its index: a path that leads elsewhere is not followed.
    match names.iter().find(|name| name.contains(['/', '\\']) || !name.ends_with(".safetensors")) {
        Some(name) => Err(corrupt(format!("shard {name:?} is not the name of a .safetensors file in this folder"))),
        None => Ok(names),
    }
}
