//! The two towers of a model, in one arithmetic or the other.

use std::ops::Range;

use candle_core::{Device, Tensor};
use shanshui_kernels::{Kernels, Path};

use super::{
    decoder::{Decoder, Heard, Written},
    dims::Dims,
    encoder::Encoder,
    int8::Int8,
    layers::Loader,
    weights::Weights,
};
use crate::options::Precision;

/// Encoder and decoder with their weights.
pub(super) trait Towers: std::fmt::Debug + Send + Sync {
    /// Encodes log-mel frames, one after the other; fewer than a full window are allowed, if even.
    fn hear(&self, frames: &[f32]) -> anyhow::Result<Box<dyn Listening + '_>>;

    /// Whether several threads may write texts at once, and share the steps of the decoder then.
    fn shares(&self) -> bool {
        false
    }
}

/// A window that has been heard.
pub(crate) trait Listening {
    /// A text about it, without a word yet.
    fn start(&self) -> anyhow::Result<Box<dyn Writing + '_>>;
}

/// A text that is being written.
pub(crate) trait Writing {
    /// Adds tokens, after which only some of the vocabulary may follow.
    fn feed(&mut self, tokens: &[u32], next: Range<usize>) -> anyhow::Result<()>;

    /// Scores of every token of the vocabulary after one of those that were fed last. After the last of them, those
    /// that may not follow have any score.
    fn logits(&self, at: usize) -> anyhow::Result<Vec<f32>>;

    /// To what the token that was fed last has listened: for each alignment head, how much to each
    /// position of the features.
    fn listened(&self) -> anyhow::Result<Vec<Vec<f32>>>;

    /// Tokens so far.
    fn length(&self) -> usize;
}

/// Loads the towers in the precision that is asked for, or that suits the device.
///
/// # Errors
/// Weights that do not fit, or a precision that the device or the model rules out.
pub(super) fn load(
    weights: &Weights,
    dims: &Dims,
    alignment_heads: &[[usize; 2]],
    device: &Device,
    precision: Precision,
) -> anyhow::Result<Box<dyn Towers>> {
    let kernels = Kernels::choose()?;
    let obstacle = obstacle(dims, device);
    let int8 = match (precision, &obstacle) {
        (Precision::Int8, Some(obstacle)) => {
            anyhow::bail!("whisper-precision: int8 is not allowed; allowed: f32, because {obstacle}")
        }
        (Precision::Int8, None) => true,
        (Precision::F32, _) => false,
        // Plain Rust multiplies bytes more slowly than candle multiplies floats.
        (Precision::Auto, _) => obstacle.is_none() && kernels.path() != Path::Portable,
    };
    if int8 {
        return Ok(Box::new(Int8::load(weights, dims, alignment_heads, kernels)?));
    }
    let loader = Loader { weights, dims, device };
    let (encoder, decoder) = (Encoder::load(loader)?, Decoder::load(loader, alignment_heads)?);
    Ok(Box::new(Floats { encoder, decoder, mels: dims.mels, device: device.clone() }))
}

/// Why a model cannot be computed in int8, if it cannot.
fn obstacle(dims: &Dims, device: &Device) -> Option<String> {
    let widths = [dims.encoder, dims.decoder].map(|tower| dims.width / tower.heads);
    match widths.iter().find(|width| **width > Int8::MAX_HEAD_WIDTH) {
        _ if !device.is_cpu() => Some("the device is no CPU".to_owned()),
        Some(width) => Some(format!("the model has heads of {width} values, more than {}", Int8::MAX_HEAD_WIDTH)),
        None => None,
    }
}

/// f32 by candle, on any device.
#[derive(Debug)]
pub(super) struct Floats {
    encoder: Encoder,
    pub(super) decoder: Decoder,
    mels: usize,
    device: Device,
}

impl Floats {
    #[cfg(test)]
    pub(super) fn load(weights: &Weights, dims: &Dims) -> anyhow::Result<Self> {
        let loader = Loader { weights, dims, device: &Device::Cpu };
        let (encoder, decoder) = (Encoder::load(loader)?, Decoder::load(loader, &[])?);
        Ok(Self { encoder, decoder, mels: dims.mels, device: Device::Cpu })
    }

    pub(super) fn encode(&self, frames: &[f32]) -> candle_core::Result<Heard> {
        let frames = Tensor::from_slice(frames, (frames.len() / self.mels, self.mels), &self.device)?;
        self.decoder.hear(&self.encoder.forward(&frames)?)
    }
}

impl Towers for Floats {
    fn hear(&self, frames: &[f32]) -> anyhow::Result<Box<dyn Listening + '_>> {
        Ok(Box::new(FloatsHeard { decoder: &self.decoder, heard: self.encode(frames)? }))
    }
}

struct FloatsHeard<'a> {
    decoder: &'a Decoder,
    heard: Heard,
}

impl Listening for FloatsHeard<'_> {
    fn start(&self) -> anyhow::Result<Box<dyn Writing + '_>> {
        let written = self.decoder.start(1)?;
        Ok(Box::new(FloatsWritten { decoder: self.decoder, heard: &self.heard, written, states: None }))
    }
}

struct FloatsWritten<'a> {
    decoder: &'a Decoder,
    heard: &'a Heard,
    written: Written,
    /// Of the tokens that were fed last, (tokens, width).
    states: Option<Tensor>,
}

impl Writing for FloatsWritten<'_> {
    fn feed(&mut self, tokens: &[u32], _: Range<usize>) -> anyhow::Result<()> {
        self.states = Some(self.decoder.forward(tokens, self.heard, &mut self.written)?);
        Ok(())
    }

    fn logits(&self, at: usize) -> anyhow::Result<Vec<f32>> {
        let states = self.states.as_ref().ok_or_else(|| anyhow::anyhow!("no token was fed yet"))?;
        Ok(self.decoder.logits(&states.narrow(0, at, 1)?)?.squeeze(0)?.to_vec1()?)
    }

    fn listened(&self) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(self.written.listened().iter().map(Tensor::to_vec1).collect::<candle_core::Result<_>>()?)
    }

    fn length(&self) -> usize {
        self.written.length()
    }
}
