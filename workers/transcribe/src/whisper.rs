//! Whisper (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022):
//! every size from tiny.en to large-v3-turbo and the distilled ones, from Hugging Face or
//! CTranslate2 folders.

mod ct2_names;
mod ctranslate2;
pub(crate) mod decoder;
mod dims;
mod encoder;
mod kernels;
pub(crate) mod languages;
mod layers;
mod products;
mod safetensors;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tokens;
mod weights;

use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Tensor};
use shanshui_model::Origin;

use crate::{
    decoding::{self, OnProgress, Options, TranscribeError, Transcript},
    gate,
    mel::Mel,
};
use decoder::{Decoder, Heard};
pub use dims::{Dims, Tower};
use encoder::Encoder;
pub use languages::{LANGUAGES, Language, find as find_language};
use layers::Loader;
use tokens::Tokens;
pub use weights::{Weights, WeightsError};

/// A loaded model. It holds no state between calls.
#[derive(Debug)]
pub struct Whisper {
    origin: Origin,
    weights: Weights,
    dims: Dims,
    encoder: Encoder,
    decoder: Decoder,
    tokens: Tokens,
    mel: Mel,
    device: Device,
}

impl Whisper {
    /// Loads a folder with weights (`model.safetensors`, whole or in shards, or CTranslate2's
    /// `model.bin`), `tokenizer.json` and, if there, `config.json` and `generation_config.json`.
    ///
    /// # Errors
    /// [`WeightsError`] for weights that are damaged, incomplete or of another format; otherwise
    /// the file and field that do not fit.
    pub fn load(folder: &Path, device: &Device) -> anyhow::Result<Self> {
        let origin = Origin::of(folder)?;
        let weights = Weights::open(folder)?;
        let settings = dims::Settings::read(folder)?;
        let dims = Dims::read(&weights, &settings)?;
        let tokens = Tokens::read(folder, &dims, &settings)?;
        let loader = Loader { weights: &weights, dims: &dims, device };
        let encoder = Encoder::load(loader)?;
        let decoder = Decoder::load(loader)?;
        if origin.is_locked() {
            origin.check(&weights.hashes())?;
        }
        Ok(Self { origin, weights, dims, encoder, decoder, tokens, mel: Mel::new(dims.mels), device: device.clone() })
    }

    /// Writes down what is said in a recording of 16 kHz mono samples, of any length; where
    /// somebody may speak, [`crate::gate`] says.
    ///
    /// # Errors
    /// See [`TranscribeError`].
    pub fn transcribe(
        &self,
        samples: &[f32],
        options: &Options,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Transcript, TranscribeError> {
        self.transcribe_stretches(samples, &gate::listen(samples).stretches, options, on_progress)
    }

    /// As [`Whisper::transcribe`], but only of these stretches of the recording, in samples.
    ///
    /// # Errors
    /// See [`TranscribeError`].
    pub fn transcribe_stretches(
        &self,
        samples: &[f32],
        stretches: &[Range<usize>],
        options: &Options,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Transcript, TranscribeError> {
        decoding::transcribe(self, samples, stretches, options, on_progress)
    }

    /// Scores of every token of the vocabulary after the given ones and a window of log-mel
    /// values, bins × frames, band after band. For comparing with other implementations.
    ///
    /// # Errors
    /// The window has another size, or a token or their number is beyond what the model takes.
    pub fn logits(&self, window: Vec<f32>, tokens: &[u32]) -> anyhow::Result<Vec<f32>> {
        let heard = self.hear(window)?;
        let states = self.decoder.forward(tokens, &heard, &mut self.decoder.start(1)?)?;
        let last = states.narrow(0, tokens.len().saturating_sub(1), 1)?;
        Ok(self.decoder.logits(&last)?.squeeze(0)?.to_vec1()?)
    }

    /// Sizes of this model.
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// SHA-256 of the weights in hexadecimal, for the receipt.
    pub fn sha256(&self) -> &str {
        self.weights.sha256()
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Encodes a window of log-mel values, bins × frames, band after band.
    pub(crate) fn hear(&self, window: Vec<f32>) -> candle_core::Result<Heard> {
        let window = Tensor::from_vec(window, (self.dims.mels, self.dims.frames()), &self.device)?;
        self.decoder.hear(&self.encoder.forward(&window.t()?.contiguous()?)?)
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(crate) fn mel(&self) -> &Mel {
        &self.mel
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}
