//! Text to the chunks of token ids that a CLIP text encoder reads.

use std::{io::Read, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::diffusers::{read_json, text_config::TextConfig};

/// CLIP's byte-pair tokenizer, lower-casing, with the special tokens of one model.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    positions: usize,
}

/// Merge lists of published tokenizers are about half a megabyte.
const MAX_MERGES_BYTES: u64 = 10 << 20;

/// Bounds what one prompt may cost: some 2,400 tokens with a 77-position model.
const MAX_CHUNKS: usize = 32;

impl Tokenizer {
    /// Reads `tokenizer/` below a model's folder: `tokenizer.json`, else `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// When files are missing or malformed, or do not fit the text encoder.
    pub fn read(root: &Path, text: &TextConfig) -> Result<Self> {
        let folder = root.join("tokenizer");
        let whole = folder.join("tokenizer.json");
        let layout = if whole.is_file() { read_json(&whole)? } else { assemble(&folder)? };
        let bytes = serde_json::to_vec(&layout)?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| anyhow::anyhow!("tokenizer: {error}"))?;
        let special = |role: &str| -> Result<u32> {
            let name = special_token(&folder, role)?;
            inner.token_to_id(&name).with_context(|| format!("tokenizer: {role}: {name:?} is not in the vocabulary"))
        };
        let (start, end, pad) = (special("bos_token")?, special("eos_token")?, special("pad_token")?);
        let rows = inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        let allowed = text.vocab_size;
        ensure!(rows <= allowed, "tokenizer: ids up to {rows}, text_encoder/config.json: vocab_size: {allowed}");
        Ok(Self { inner, start, end, pad, positions: text.max_position_embeddings })
    }

    /// Splits prompts into chunks of the encoder's length, start and end token in each, padded; every
    /// prompt gets as many chunks as the longest one needs.
    ///
    /// This is how AUTOMATIC1111's web UI reads prompts beyond one chunk: chunk by chunk.
    ///
    /// # Errors
    /// When a prompt is longer than we are willing to read.
    pub fn chunks(&self, prompts: &[&str]) -> Result<Vec<Vec<Vec<u32>>>> {
        let size = self.positions - 2;
        let rows = prompts.iter().map(|prompt| self.ids(prompt)).collect::<Result<Vec<_>>>()?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let count = longest.div_ceil(size).max(1);
        ensure!(count <= MAX_CHUNKS, "prompt: {longest} tokens, allowed are {}", MAX_CHUNKS * size);
        let chunk = |ids: &[u32], index: usize| self.wrap(ids.chunks(size).nth(index).unwrap_or(&[]));
        Ok(rows.iter().map(|ids| (0..count).map(|index| chunk(ids, index)).collect()).collect())
    }

    fn ids(&self, prompt: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(prompt, false);
        Ok(encoding.map_err(|error| anyhow::anyhow!("prompt: {error}"))?.get_ids().to_vec())
    }

    fn wrap(&self, ids: &[u32]) -> Vec<u32> {
        let mut chunk = Vec::with_capacity(self.positions);
        chunk.push(self.start);
        chunk.extend_from_slice(ids);
        chunk.push(self.end);
        chunk.resize(self.positions, self.pad);
        chunk
    }
}

/// What a `tokenizer.json` would say, from the older pair of files.
fn assemble(folder: &Path) -> Result<Value> {
    let vocab: Map<String, Value> = read_json(&folder.join("vocab.json"))?;
    let merges = read_merges(&folder.join("merges.txt"))?;
    let unknown = special_token(folder, "unk_token")?;
    let special = |role: &str| -> Result<Value> {
        let name = special_token(folder, role)?;
        Ok(json!({ "id": vocab.get(&name), "content": name, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false }))
    };
    let words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    Ok(json!({
        "version": "1.0",
        "added_tokens": [special("bos_token")?, special("eos_token")?],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
            { "type": "Lowercase" },
        ]},
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": words }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ]},
        "model": { "type": "BPE", "unk_token": unknown, "end_of_word_suffix": "</w>", "vocab": vocab, "merges": merges },
    }))
}

fn read_merges(path: &Path) -> Result<Vec<String>> {
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_MERGES_BYTES).read_to_string(&mut text)?;
        let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
        anyhow::Ok(lines.map(str::to_owned).collect())
    };
    read().with_context(|| path.display().to_string())
}

/// The token of a role, as `tokenizer_config.json` or `special_tokens_map.json` names it: a string
/// or an object with `content`. CLIP's own where neither does.
fn special_token(folder: &Path, role: &str) -> Result<String> {
    for name in ["special_tokens_map.json", "tokenizer_config.json"] {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        let json: Value = read_json(&path)?;
        if let Some(token) = json[role].as_str().or_else(|| json[role]["content"].as_str()) {
            return Ok(token.to_owned());
        }
    }
    let own = if role == "bos_token" { "<|startoftext|>" } else { "<|endoftext|>" };
    Ok(own.to_owned())
}
