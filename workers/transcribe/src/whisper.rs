//! Whisper (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022):
//! every size from tiny.en to large-v3-turbo and the distilled ones, from Hugging Face or
//! CTranslate2 folders.

mod ct2_names;
mod ctranslate2;
mod decoder;
mod dims;
mod encoder;
mod int8;
pub(crate) mod kernels;
pub(crate) mod languages;
mod layers;
mod products;
mod safetensors;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tokens;
pub(crate) mod towers;
mod weights;

use std::ops::Range;
use std::path::Path;

use candle_core::Device;
use shanshui_model::Origin;
use shanshui_pipeline::telemetry::entered;

use crate::{
    decoding::{self, OnProgress, Options, Told, TranscribeError, Transcript},
    gate,
    mel::Mel,
    options::Precision,
};
pub use dims::{Dims, Tower};
pub use languages::{LANGUAGES, Language, find as find_language};
use tokens::Tokens;
use towers::{Listening, Towers};
pub use weights::{Weights, WeightsError};

/// A loaded model. It holds no state between calls. In int8 calls from several threads share the decoder's
/// steps ([`Whisper::shares`]); what comes of a recording is the same alone and in company.
#[derive(Debug)]
pub struct Whisper {
    origin: Origin,
    sha256: String,
    dims: Dims,
    towers: Box<dyn Towers>,
    tokens: Tokens,
    mel: Mel,
}

impl Whisper {
    /// Loads a folder with weights (`model.safetensors`, whole or in shards, or CTranslate2's
    /// `model.bin`), `tokenizer.json` and, if there, `config.json` and `generation_config.json`, in
    /// the precision that suits the device.
    ///
    /// # Errors
    /// [`WeightsError`] for weights that are damaged, incomplete or of another format; otherwise
    /// the file and field that do not fit.
    pub fn load(folder: &Path, device: &Device) -> anyhow::Result<Self> {
        Self::load_in(folder, device, Precision::Auto)
    }

    /// As [`Whisper::load`], in this precision.
    ///
    /// # Errors
    /// As [`Whisper::load`], and a precision that the device or the model rules out.
    pub fn load_in(folder: &Path, device: &Device, precision: Precision) -> anyhow::Result<Self> {
        let origin = Origin::of(folder)?;
        let weights = Weights::open(folder)?;
        let settings = dims::Settings::read(folder)?;
        let dims = Dims::read(&weights, &settings)?;
        let tokens = Tokens::read(folder, &dims, &settings)?;
        if origin.is_locked() {
            origin.check(&weights.hashes())?;
        }
        let towers = towers::load(&weights, &dims, &settings.alignment_heads(&dims), device, precision)?;
        // The mapped files are let go: everything is in memory in the form that it is needed in.
        let sha256 = weights.sha256().to_owned();
        Ok(Self { origin, sha256, dims, towers, tokens, mel: Mel::new(dims.mels) })
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
        let told = Told { progress: &mut |at| on_progress(at), hearing: &mut |_| () };
        self.transcribe_told(samples, stretches, options, told)
    }

    /// As [`Whisper::transcribe_stretches`], telling the words while they are decoded, too.
    ///
    /// # Errors
    /// See [`TranscribeError`].
    pub fn transcribe_told(
        &self,
        samples: &[f32],
        stretches: &[Range<usize>],
        options: &Options,
        told: Told<'_>,
    ) -> Result<Transcript, TranscribeError> {
        decoding::transcribe(self, samples, stretches, options, told)
    }

    /// Scores of every token of the vocabulary after the given ones and a window of log-mel
    /// values, bins × frames, band after band. For comparing with other implementations.
    ///
    /// # Errors
    /// The window has another size, or a token or their number is beyond what the model takes.
    pub fn logits(&self, window: Vec<f32>, tokens: &[u32]) -> anyhow::Result<Vec<f32>> {
        let frames = window.len() / self.dims.mels;
        anyhow::ensure!(!tokens.is_empty(), "no token to score after");
        anyhow::ensure!(frames == self.dims.frames(), "a window of {frames} frames, not {}", self.dims.frames());
        let mut rows = vec![0.0; window.len()];
        for (band, values) in window.chunks(frames).enumerate() {
            for (frame, value) in values.iter().enumerate() {
                rows[frame * self.dims.mels + band] = *value;
            }
        }
        let heard = self.hear(&rows)?;
        let mut text = heard.start()?;
        text.feed(tokens, 0..self.dims.vocabulary)?;
        text.logits(tokens.len().saturating_sub(1))
    }

    /// Whether several recordings cost less together, each on a thread of its own.
    pub fn shares(&self) -> bool {
        self.towers.shares()
    }

    /// Sizes of this model.
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// SHA-256 of the weights in hexadecimal, for the receipt.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Encodes log-mel frames, one after the other; fewer than a full window are allowed, if even.
    pub(crate) fn hear(&self, frames: &[f32]) -> anyhow::Result<Box<dyn Listening + '_>> {
        let _phase = entered("encode");
        self.towers.hear(frames)
    }

    pub(crate) fn mel(&self) -> &Mel {
        &self.mel
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}
