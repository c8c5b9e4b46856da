//! Text to the chunks of token ids that a CLIP text encoder reads.

mod files;
mod weighted;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::diffusers::text_config::TextConfig;
use crate::error::JobError;

/// CLIP's byte-pair tokenizer, lower-casing, with the special tokens of one model.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    comma: Option<u32>,
    positions: usize,
    /// Tokens that stand for more than one row of the embedding, with all of them.
    series: Vec<(String, String)>,
}

/// Token ids of some prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunks {
    /// By prompt, chunk and position.
    pub ids: Vec<Vec<Vec<u32>>>,
    /// Factors of the states, in the same order, where one is not 1.
    pub weights: Option<Vec<Vec<Vec<f32>>>>,
    /// Whether the end of a prompt was left out.
    pub truncated: bool,
}

/// Bounds what one prompt may cost: some 2,400 tokens with a 77-position model.
pub const MAX_CHUNKS: usize = 32;

impl Tokenizer {
    /// Reads `tokenizer/` below a model's folder: `tokenizer.json`, else `vocab.json` and `merges.txt`; and
    /// the tokens that were added to it.
    ///
    /// # Errors
    /// When files are missing or malformed, or do not fit the text encoder.
    pub fn read(root: &Path, text: &TextConfig) -> Result<Self> {
        let folder = root.join("tokenizer");
        let role = |role: &str| files::special_token(&folder, role);
        let specials = [role("bos_token")?, role("eos_token")?, role("pad_token")?];
        Self::new(&files::layout(&folder)?, &specials, text)
    }

    /// CLIP's own tokenizer, for models that bring none.
    ///
    /// # Errors
    /// When the text encoder has another vocabulary.
    pub fn clip(pad: &str, text: &TextConfig) -> Result<Self> {
        let found = text.vocab_size;
        ensure!(
            found >= files::CLIP_VOCABULARY,
            "tokenizer: the model brings none, and its vocabulary of {found} tokens is not CLIP's of {}; put its \
             tokenizer beside it, as NAME.config/tokenizer",
            files::CLIP_VOCABULARY
        );
        let [start, end] = files::CLIP_SPECIALS;
        Self::new(&files::whole_clip()?, &[start, end, pad].map(str::to_owned), text)
    }

    fn new(layout: &serde_json::Value, specials: &[String; 3], text: &TextConfig) -> Result<Self> {
        let bytes = serde_json::to_vec(layout)?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| anyhow::anyhow!("tokenizer: {error}"))?;
        let id = |name: &String| {
            inner.token_to_id(name).with_context(|| format!("tokenizer: {name:?} is not in the vocabulary"))
        };
        let (start, end, pad) = (id(&specials[0])?, id(&specials[1])?, id(&specials[2])?);
        let rows = inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        let allowed = text.vocab_size;
        ensure!(rows <= allowed, "tokenizer: ids up to {rows}, text_encoder/config.json: vocab_size: {allowed}");
        let (series, comma) = (series(&inner), inner.token_to_id(",</w>"));
        Ok(Self { inner, start, end, pad, comma, positions: text.max_position_embeddings, series })
    }

    /// Splits prompts into chunks of the encoder's length, start and end token in each, padded; every
    /// prompt gets as many chunks as the longest one needs.
    ///
    /// This is how AUTOMATIC1111's web UI reads prompts beyond one chunk: chunk by chunk. What is longer
    /// than [`MAX_CHUNKS`] is cut between characters.
    ///
    /// # Errors
    /// When the tokenizer has no answer to a prompt.
    pub fn chunks(&self, prompts: &[&str]) -> Result<Chunks, JobError> {
        let size = self.positions - 2;
        let rows = prompts.iter().map(|prompt| self.ids(prompt, MAX_CHUNKS * size));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let count = rows.iter().map(|(ids, _)| ids.len().div_ceil(size)).max().unwrap_or(0).max(1);
        let chunk = |ids: &[u32], index: usize| self.wrap(ids.chunks(size).nth(index).unwrap_or(&[]));
        let ids = rows.iter().map(|(ids, _)| (0..count).map(|index| chunk(ids, index)).collect()).collect();
        Ok(Chunks { ids, weights: None, truncated: rows.iter().any(|(_, truncated)| *truncated) })
    }

    /// At most `most` tokens, and whether there were more.
    fn ids(&self, prompt: &str, most: usize) -> Result<(Vec<u32>, bool), JobError> {
        let wrong = |error| JobError::Text(format!("{error:#}"));
        let prompt = self.spelt_out(prompt);
        let ids = self.inner.encode_fast(prompt.as_str(), false).map_err(wrong)?.get_ids().to_vec();
        if ids.len() <= most {
            return Ok((ids, false));
        }
        // Only now the offsets, which take longer. Tokens of one character all have its place.
        let whole = self.inner.encode(prompt.as_str(), false).map_err(wrong)?;
        let places = whole.get_offsets();
        let first_left_out = places.get(most).map(|place| place.0);
        let kept = (0..most).rev().find(|index| Some(places[*index].0) != first_left_out).map_or(0, |last| last + 1);
        Ok((ids[..kept].to_vec(), true))
    }

    /// The prompt with every token of a series followed by the rest of it.
    fn spelt_out(&self, prompt: &str) -> String {
        self.series.iter().fold(prompt.to_owned(), |prompt, (token, all)| prompt.replace(token, all))
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

/// A concept of several rows is saved as the tokens `<name>`, `<name>_1`, `<name>_2` and so on; its name
/// stands for all of them.
fn series(tokenizer: &tokenizers::Tokenizer) -> Vec<(String, String)> {
    let added = tokenizer.get_added_tokens_decoder();
    let known = |name: &str| added.values().any(|token| token.content == name);
    let rest = |name: &str| {
        let numbered = (1..).map(|number| format!("{name}_{number}"));
        numbered.take_while(|token| known(token)).collect::<Vec<_>>()
    };
    let names = added.values().map(|token| token.content.clone());
    let all = names.map(|name| (name.clone(), [vec![name.clone()], rest(&name)].concat()));
    all.filter(|(_, all)| all.len() > 1).map(|(name, all)| (name, all.join(" "))).collect()
}
