//! The sizes of a Whisper, from the shapes of its weights, and the settings beside them.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::weights::{Weights, WeightsError};

/// Sizes of one Whisper model, as the paper's table 1 and the shapes of the checkpoint give them
/// (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Mel bins of the input: 80, or 128 since large-v3.
    pub mels: usize,
    /// Positions of the encoder's output, 20 ms each: 1500.
    pub audio_context: usize,
    /// Tokens that the decoder can see: 448.
    pub text_context: usize,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Width of both towers.
    pub width: usize,
    /// Width between the two layers of a feed-forward block.
    pub hidden: usize,
    /// Heads and layers of the encoder.
    pub encoder: Tower,
    /// Heads and layers of the decoder; a distilled model has fewer layers here.
    pub decoder: Tower,
}

/// Depth of the encoder or the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tower {
    /// Attention heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
}

/// What lies beside the weights in json files, all of it optional.
#[derive(Debug, Default)]
pub(super) struct Settings {
    config: Config,
    generation: Generation,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    num_mel_bins: Option<usize>,
    max_source_positions: Option<usize>,
    max_target_positions: Option<usize>,
    vocab_size: Option<usize>,
    d_model: Option<usize>,
    encoder_layers: Option<usize>,
    decoder_layers: Option<usize>,
    encoder_attention_heads: Option<usize>,
    decoder_attention_heads: Option<usize>,
    /// CTranslate2 keeps it here.
    alignment_heads: Option<Vec<[usize; 2]>>,
    #[serde(flatten)]
    suppress: Suppress,
}

#[derive(Debug, Default, Deserialize)]
struct Generation {
    is_multilingual: Option<bool>,
    alignment_heads: Option<Vec<[usize; 2]>>,
    #[serde(flatten)]
    suppress: Suppress,
}

/// Hugging Face and CTranslate2 spell the same two lists differently.
#[derive(Debug, Default, Deserialize)]
struct Suppress {
    #[serde(alias = "suppress_ids")]
    suppress_tokens: Option<Vec<i64>>,
    #[serde(alias = "suppress_ids_begin")]
    begin_suppress_tokens: Option<Vec<i64>>,
}

/// Layers beyond this are not a Whisper.
const MAX_LAYERS: usize = 128;
/// Every published Whisper has heads of this width.
const HEAD_WIDTH: usize = 64;
const SETTINGS_LIMIT: u64 = 10_000_000;
/// More heads say no more about when a word was said; the published lists have up to 23.
const MAX_ALIGNMENT_HEADS: usize = 32;

impl Dims {
    /// Sizes of the weights, held against `config.json` where that states them.
    pub(super) fn read(weights: &Weights, settings: &Settings) -> anyhow::Result<Self> {
        let [width, mels] = sizes(weights, "encoder.conv1.weight", [0, 1], 3)?;
        let [audio_context] = sizes(weights, "encoder.embed_positions.weight", [0], 2)?;
        let [text_context] = sizes(weights, "decoder.embed_positions.weight", [0], 2)?;
        let [vocabulary] = sizes(weights, "decoder.embed_tokens.weight", [0], 2)?;
        let [hidden] = sizes(weights, "encoder.layers.0.fc1.weight", [0], 2)?;
        let config = &settings.config;
        let dims = Self {
            mels,
            audio_context,
            text_context,
            vocabulary,
            width,
            hidden,
            encoder: tower(weights, "encoder", width, config.encoder_attention_heads),
            decoder: tower(weights, "decoder", width, config.decoder_attention_heads),
        };
        dims.check_plausible()?;
        config.check(&dims)?;
        Ok(dims)
    }

    /// Mel frames of one window, 10 ms each: 3000.
    pub fn frames(&self) -> usize {
        2 * self.audio_context
    }

    fn check_plausible(&self) -> anyhow::Result<()> {
        let Self { mels, width, .. } = *self;
        ensure!(matches!(mels, 80 | 128), "weights: encoder.conv1 takes {mels} mel bins, allowed are 80 and 128");
        ensure!(self.audio_context > 0 && self.text_context > 1, "weights: a position table is empty");
        for (name, tower) in [("encoder", self.encoder), ("decoder", self.decoder)] {
            let Tower { heads, layers } = tower;
            ensure!(
                (1..=MAX_LAYERS).contains(&layers),
                "weights: {name} has {layers} layers, allowed are 1 to {MAX_LAYERS}"
            );
            ensure!(
                heads > 0 && width % heads == 0,
                "weights: {name} has {heads} heads, which do not divide its width {width}"
            );
        }
        Ok(())
    }
}

impl Config {
    /// The same field in the configuration and in the weights must say the same.
    fn check(&self, dims: &Dims) -> anyhow::Result<()> {
        let fields = [
            ("num_mel_bins", self.num_mel_bins, dims.mels),
            ("max_source_positions", self.max_source_positions, dims.audio_context),
            ("max_target_positions", self.max_target_positions, dims.text_context),
            ("vocab_size", self.vocab_size, dims.vocabulary),
            ("d_model", self.d_model, dims.width),
            ("encoder_layers", self.encoder_layers, dims.encoder.layers),
            ("decoder_layers", self.decoder_layers, dims.decoder.layers),
            ("encoder_attention_heads", self.encoder_attention_heads, dims.encoder.heads),
            ("decoder_attention_heads", self.decoder_attention_heads, dims.decoder.heads),
        ];
        for (field, stated, found) in fields {
            ensure!(
                stated.is_none_or(|stated| stated == found),
                "config.json: {field} is {stated:?}, the weights have {found}"
            );
        }
        Ok(())
    }
}

impl Settings {
    /// Reads `config.json` and `generation_config.json`, if they are there.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            config: read_json(&folder.join("config.json"))?,
            generation: read_json(&folder.join("generation_config.json"))?,
        })
    }

    /// Tokens that are never written: punctuation of captions, notes, speaker marks.
    pub(super) fn suppressed(&self, vocabulary: usize) -> Vec<u32> {
        let lists = [&self.generation.suppress, &self.config.suppress].map(|lists| &lists.suppress_tokens);
        first_list(lists, vocabulary)
    }

    /// Tokens that may not come first: a blank, and the end of the text.
    pub(super) fn suppressed_at_begin(&self, vocabulary: usize) -> Vec<u32> {
        let lists = [&self.generation.suppress, &self.config.suppress].map(|lists| &lists.begin_suppress_tokens);
        first_list(lists, vocabulary)
    }

    /// Heads of the decoder, as layer and head, whose attention follows the sound from word to word.
    /// None if no file lists them: then words have no times.
    pub(super) fn alignment_heads(&self, dims: &Dims) -> Vec<[usize; 2]> {
        let Tower { heads, layers } = dims.decoder;
        let lists = [&self.generation.alignment_heads, &self.config.alignment_heads];
        let listed = lists.into_iter().flatten().next().map_or(&[][..], Vec::as_slice);
        let known = listed.iter().copied().filter(|[layer, head]| *layer < layers && *head < heads);
        known.take(MAX_ALIGNMENT_HEADS).collect()
    }

    /// Whether the model reads more than English, if a file says so.
    pub(super) fn is_multilingual(&self) -> Option<bool> {
        self.generation.is_multilingual
    }
}

/// The first list that is given; -1, which means "the usual ones", and impossible ids fall out.
fn first_list(lists: [&Option<Vec<i64>>; 2], vocabulary: usize) -> Vec<u32> {
    let ids = lists.into_iter().flatten().next().map_or(&[][..], Vec::as_slice);
    ids.iter().filter_map(|id| u32::try_from(*id).ok()).filter(|id| (*id as usize) < vocabulary).collect()
}

fn read_json<T: Default + for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<T> {
    if !path.is_file() {
        return Ok(T::default());
    }
    let size = fs::metadata(path)?.len();
    ensure!(size <= SETTINGS_LIMIT, "{}: {size} bytes, at most {SETTINGS_LIMIT} are allowed", path.display());
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not the configuration of a Whisper", path.display()))
}

fn tower(weights: &Weights, side: &str, width: usize, stated: Option<usize>) -> Tower {
    let layers = (0..=MAX_LAYERS)
        .take_while(|layer| weights.shape(&format!("{side}.layers.{layer}.fc1.weight")).is_some())
        .count();
    let heads = weights.heads(side).or(stated).unwrap_or(width / HEAD_WIDTH);
    Tower { heads, layers }
}

/// The asked axes of a tensor that must have `rank` dimensions.
fn sizes<const N: usize>(
    weights: &Weights,
    name: &str,
    axes: [usize; N],
    rank: usize,
) -> Result<[usize; N], WeightsError> {
    let shape = weights.shape(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
    if shape.len() != rank {
        return Err(WeightsError::Shape { name: name.to_owned(), found: shape.to_vec(), expected: vec![0; rank] });
    }
    Ok(axes.map(|axis| shape[axis]))
}
