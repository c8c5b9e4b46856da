//! The files that make a tokenizer: `tokenizer.json`, or `vocab.json` and `merges.txt`, and the tokens
//! that were added to either.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::diffusers::read_json;

/// Merge lists of published tokenizers are about half a megabyte.
const MAX_MERGES_BYTES: u64 = 10 << 20;

/// What CLIP splits a text into before it looks for merges.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The layout of `tokenizer.json`, from whichever files are in `folder`, with every added token.
///
/// # Errors
/// Names the file that is missing or malformed.
pub(super) fn layout(folder: &Path) -> Result<Value> {
    let whole = folder.join("tokenizer.json");
    let mut layout = if whole.is_file() { read_json(&whole)? } else { assemble(folder)? };
    // Left behind by the last call of whoever saved the file: they are no part of the model.
    layout["padding"] = Value::Null;
    layout["truncation"] = Value::Null;
    for (id, token) in added(folder)? {
        add(&mut layout, id, token);
    }
    Ok(layout)
}

/// The token of a role, as `tokenizer_config.json` or `special_tokens_map.json` names it: a string
/// or an object with `content`. CLIP's own where neither does.
///
/// # Errors
/// Names the file that is malformed.
pub(super) fn special_token(folder: &Path, role: &str) -> Result<String> {
    for name in ["special_tokens_map.json", "tokenizer_config.json"] {
        let json = read_if_there(&folder.join(name))?;
        if let Some(token) = json[role].as_str().or_else(|| json[role]["content"].as_str()) {
            return Ok(token.to_owned());
        }
    }
    let own = if role == "bos_token" { "<|startoftext|>" } else { "<|endoftext|>" };
    Ok(own.to_owned())
}

/// CLIP's vocabulary: 256 bytes, the same at a word's end, the merges and two special tokens.
pub(super) const CLIP_VOCABULARY: usize = 49_408;
/// CLIP's tokens for start and end.
pub(super) const CLIP_SPECIALS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// The layout of CLIP's own tokenizer, from the merges that the program holds.
///
/// # Errors
/// When the program was built from a damaged file.
pub(super) fn whole_clip() -> Result<Value> {
    let packed = &include_bytes!("../../data/clip-merges.txt.gz")[..];
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).take(MAX_MERGES_BYTES).read_to_string(&mut text).context("CLIP's merges")?;
    let merges: Vec<String> = text.lines().map(str::to_owned).collect();
    let letters = byte_letters();
    let ends = letters.iter().map(|letter| format!("{letter}</w>"));
    let words =
        letters.iter().map(char::to_string).chain(ends).chain(merges.iter().map(|merge| merge.replace(' ', "")));
    let words = words.chain(CLIP_SPECIALS.map(str::to_owned)).enumerate();
    let vocab: Map<String, Value> = words.map(|(id, word)| (word, id.into())).collect();
    ensure!(vocab.len() == CLIP_VOCABULARY, "CLIP's merges make {} tokens", vocab.len());
    Ok(clip(vocab.into(), &merges, CLIP_SPECIALS[1], &CLIP_SPECIALS))
}

/// The letters that stand for the 256 bytes, in CLIP's order: the printable ones for themselves first.
fn byte_letters() -> Vec<char> {
    let kept = ('!'..='~').chain('\u{a1}'..='\u{ac}').chain('\u{ae}'..='\u{ff}');
    let kept: Vec<char> = kept.collect();
    let others = (0..256 - kept.len()).filter_map(|index| char::from_u32(256 + index as u32));
    kept.iter().copied().chain(others).collect()
}

/// The layout of a CLIP tokenizer with this vocabulary.
fn clip(vocab: Value, merges: &[String], unknown: &str, specials: &[&str]) -> Value {
    let special = |name: &&str| token(vocab[*name].clone(), name, false);
    let specials: Vec<_> = specials.iter().map(special).collect();
    json!({
        "version": "1.0",
        "added_tokens": specials,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
            { "type": "Lowercase" },
        ]},
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ]},
        "model": { "type": "BPE", "unk_token": unknown, "end_of_word_suffix": "</w>", "vocab": vocab, "merges": merges },
    })
}

/// What a `tokenizer.json` would say, from the older pair of files.
fn assemble(folder: &Path) -> Result<Value> {
    let vocab: Map<String, Value> = read_json(&folder.join("vocab.json"))?;
    let merges = read_merges(&folder.join("merges.txt"))?;
    let [start, end, unknown] = ["bos_token", "eos_token", "unk_token"].map(|role| special_token(folder, role));
    Ok(clip(vocab.into(), &merges, &unknown?, &[&start?, &end?]))
}

fn token(id: Value, content: &str, normalized: bool) -> Value {
    json!({ "id": id, "content": content, "special": !normalized, "normalized": normalized,
        "single_word": false, "lstrip": false, "rstrip": false })
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

/// Tokens that were taught to the model after its vocabulary was made (textual inversion,
/// arXiv:2208.01618), by id.
fn added(folder: &Path) -> Result<Vec<(u64, Value)>> {
    let mut tokens = Vec::new();
    let simple = read_if_there(&folder.join("added_tokens.json"))?;
    for (content, id) in simple.as_object().into_iter().flatten() {
        let id = id.as_u64().with_context(|| format!("added_tokens.json: {content:?}: {id} is not an id"))?;
        tokens.push((id, token(id.into(), content, true)));
    }
    let config = read_if_there(&folder.join("tokenizer_config.json"))?;
    for (id, spec) in config["added_tokens_decoder"].as_object().into_iter().flatten() {
        let wrong = || format!("tokenizer_config.json: added_tokens_decoder: {id:?} is not an id with its content");
        let number: u64 = id.parse().with_context(wrong)?;
        let content = spec["content"].as_str().with_context(wrong)?;
        let mut whole = token(number.into(), content, true);
        for (field, value) in spec.as_object().into_iter().flatten().filter(|(_, value)| value.is_boolean()) {
            whole[field] = value.clone();
        }
        tokens.push((number, whole));
    }
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// Adds a token that is not there yet. It goes into the vocabulary as well, for the tokenizer numbers
/// other added tokens by itself.
fn add(layout: &mut Value, id: u64, token: Value) {
    let content = token["content"].clone();
    let Some(name) = content.as_str() else { return };
    let there = layout["added_tokens"].as_array().is_some_and(|all| all.iter().any(|one| one["content"] == content));
    if there {
        return;
    }
    if let Some(vocab) = layout["model"]["vocab"].as_object_mut() {
        vocab.entry(name).or_insert_with(|| id.into());
    }
    match layout["added_tokens"].as_array_mut() {
        Some(all) => all.push(token),
        None => layout["added_tokens"] = json!([token]),
    }
}

fn read_if_there(path: &Path) -> Result<Value> {
    if path.is_file() { read_json(path) } else { Ok(Value::Null) }
}
