//! A loaded Stable Diffusion pipeline: text to states, latents to predictions, latents to pictures.

mod load;
mod loras;

use std::cell::RefCell;
use std::path::Path;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use shanshui_model::gpu::Reserve;
use shanshui_model::{DeviceKind, Origin};
use shanshui_pipeline::fields::FieldError;

use crate::diffusers::weights::{activations, wide};
use crate::diffusers::{Configs, recommended::Recommended, scheduler::SchedulerConfig};
use crate::error::PaintError;
use crate::picture::Picture;
use crate::preview::{self, LatentColors};
use crate::prompt::syntax::{Piece, Syntax};
use crate::source::Source;
use crate::text_encoder::TextEncoder;
use crate::tokenizer::{Chunks, Tokenizer};
use crate::unet::Unet;
use crate::vae::tiny::TinyDecoder;
use crate::vae::{Vae, VaeEncoder};

pub use self::load::Extras;
use self::load::Parts;
use self::loras::Loras;
pub use crate::unet::Context;

/// The networks of one model, on one device.
pub struct Model {
    origin: Origin,
    tokenizer: Tokenizer,
    text: TextEncoder,
    unet: Unet,
    decoder: Decoder,
    parts: Parts,
    configs: Configs,
    recommended: Recommended,
    loras: Loras,
    hashes: Vec<(String, String)>,
    colors: RefCell<LatentColors>,
    dtype: DType,
    device: Device,
    // The last field: it goes behind all tensors.
    reserve: Reserve,
}

/// What makes pictures of latents.
enum Decoder {
    Whole(Box<Vae>),
    Tiny(TinyDecoder),
}

/// Texts as the UNet is told them.
pub struct Encoded {
    /// (prompts, tokens, width).
    pub states: Tensor,
    /// Whether the end of a prompt was left out.
    pub truncated: bool,
}

impl Model {
    /// Loads the model at a path that [`Source::find`] understands; weights are cast to `dtype`. On a CPU,
    /// bf16 rounds the large products of UNet and decoder alone.
    ///
    /// # Errors
    /// Names the file, and the field or tensor, that is missing, malformed or not supported.
    pub fn load(path: &Path, device: &Device, dtype: DType) -> Result<Self> {
        Self::open(&Source::find(path)?, &Extras::default(), device, dtype)
    }

    /// Prompts to states, all of the same number of tokens: longer prompts are read in chunks of the text
    /// encoder's length, whose states are joined.
    ///
    /// # Errors
    /// When the tokenizer has no answer to a prompt, or the device fails.
    pub fn encode(&self, prompts: &[&str]) -> Result<Encoded, PaintError> {
        self.encode_as(prompts, Syntax::Plain)
    }

    /// The same with the markup that `syntax` knows.
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub fn encode_as(&self, prompts: &[&str], syntax: Syntax) -> Result<Encoded, PaintError> {
        let Chunks { ids, weights, truncated } = match syntax {
            Syntax::Plain => self.tokenizer.chunks(prompts)?,
            Syntax::A1111 => {
                let pieces: Vec<Vec<Piece>> = prompts.iter().map(|prompt| Piece::parse(prompt)).collect();
                self.tokenizer.weighted_chunks(&pieces)?
            }
        };
        let mut states = self.text.forward(&ids.concat())?;
        if let Some(weights) = weights {
            states = weigh(&states, weights.concat())?;
        }
        let width = states.dim(2)?;
        Ok(Encoded { states: states.reshape((prompts.len(), (), width))?, truncated })
    }

    /// States as the UNet uses them at every step; the rows of [`Model::predict`] are the rows of `states`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn prepare(&self, states: &Tensor) -> candle_core::Result<Context> {
        self.unet.prepare(states)
    }

    /// The same for a model that is told the scale of guidance instead of being asked twice.
    ///
    /// # Errors
    /// When the device fails.
    pub fn prepare_guided(&self, states: &Tensor, guidance: f64) -> candle_core::Result<Context> {
        self.unet.prepare(states)?.with_guidance(guidance, self.configs.unet.time_cond_proj_dim, &self.device)
    }

    /// Whether the model is told the scale of guidance.
    #[must_use]
    pub fn is_told_guidance(&self) -> bool {
        self.configs.unet.time_cond_proj_dim.is_some()
    }

    /// What the UNet sees in latents (batch, channels, height, width) at a timestep (batch) for each row,
    /// in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn predict(&self, latents: &Tensor, timesteps: &Tensor, context: &Context) -> candle_core::Result<Tensor> {
        let latents = self.to_wide(latents)?;
        let prediction = self.unet.forward(&latents, &timesteps.to_device(&self.device)?, context)?;
        prediction.to_dtype(DType::F32)
    }

    /// Latents to pictures (batch, 3, height, width) in [0, 1], in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        let pictures = match &self.decoder {
            Decoder::Whole(vae) => vae.decode(&self.to_wide(latents)?)?.to_dtype(DType::F32)?.affine(0.5, 0.5)?,
            Decoder::Tiny(tiny) => tiny.decode(&self.to_own(latents)?)?.to_dtype(DType::F32)?,
        };
        pictures.clamp(0.0, 1.0)
    }

    /// Pictures (batch, 3, height, width) in [0, 1] to latents, in f32. Loads the encoder for this call: to
    /// paint from text nothing needs it.
    ///
    /// # Errors
    /// When the encoder's weights do not fit, or the device fails.
    pub fn encode_pictures(&self, pictures: &Tensor) -> Result<Tensor> {
        let weights = self.parts.vae_weights(self.dtype, &self.device);
        let encoder = VaeEncoder::load(&weights, &self.configs.vae)?;
        let pixels = self.to_own(&pictures.affine(2.0, -1.0)?)?;
        Ok(encoder.encode(&pixels)?.to_dtype(DType::F32)?)
    }

    /// Channels, height and width of the latents of a picture.
    ///
    /// # Errors
    /// When a side is not a multiple of [`Model::scale`].
    pub fn latent_shape(&self, width: usize, height: usize) -> Result<[usize; 3], FieldError> {
        let scale = self.scale();
        for (field, side) in [("picture.width", width), ("picture.height", height)] {
            if side == 0 || !side.is_multiple_of(scale) {
                return Err(FieldError::new(field, side, format!("multiples of {scale} for this model")));
            }
        }
        Ok([self.configs.vae.latent_channels, height / scale, width / scale])
    }

    /// Pixels for each latent, on a side.
    pub fn scale(&self) -> usize {
        self.configs.vae.scale()
    }

    /// The schedule that the model was trained with.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.configs.scheduler
    }

    /// How the model is used best.
    pub fn recommended(&self) -> &Recommended {
        &self.recommended
    }

    /// Latents (1, channels, height, width) as a picture of one pixel each; none where that failed. The first
    /// call decodes a part of them, to learn what colours they have.
    pub fn coarse(&self, latents: &Tensor) -> Option<Picture> {
        let picture = || {
            if self.colors.borrow().is_empty() {
                let part = preview::middle(latents)?;
                self.learn_colors(&part, &self.decode(&part)?.squeeze(0)?)?;
            }
            let (_, channels, height, width) = latents.dims4()?;
            let latents: Vec<f32> = latents.flatten_all()?.to_vec1()?;
            Ok(self.colors.borrow().picture(&latents, [channels, height, width]))
        };
        let warn = |error: &candle_core::Error| tracing::warn!(%error, "there is no preview");
        picture().inspect_err(warn).ok()
    }

    /// Learns the colours of latents from what they became, for [`Model::coarse`].
    pub(crate) fn learn_colors(&self, latents: &Tensor, pixels: &Tensor) -> candle_core::Result<()> {
        let latents: Vec<f32> = latents.flatten_all()?.to_vec1()?;
        self.colors.borrow_mut().learn(&latents, &pixels.to_device(&Device::Cpu)?, self.scale())
    }

    /// Where it computes.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The device and the number format that it computes in, by their names in receipts.
    #[must_use]
    pub fn arithmetic(&self) -> (&'static str, &'static str) {
        (DeviceKind::name(&self.device), self.dtype.as_str())
    }

    /// Gives memory back to the device that was left over by a painting that did not fit.
    pub(crate) fn trim(&self) {
        self.reserve.trim();
    }

    /// The model's name, and where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Path below the model's folder and sha256 in hex, of each weight file, the UNet's first; then the
    /// tiny decoder's and the adaptations'.
    pub fn hashes(&self) -> &[(String, String)] {
        &self.hashes
    }

    fn to_wide(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(wide(self.dtype))
    }

    fn to_own(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(activations(self.dtype, &self.device))
    }
}

/// Multiplies the states of every token (chunks, tokens, width) by its weight, and each chunk by what keeps
/// its mean: A1111's "original" emphasis.
fn weigh(states: &Tensor, weights: Vec<Vec<f32>>) -> candle_core::Result<Tensor> {
    let (chunks, tokens, _) = states.dims3()?;
    let weights = Tensor::from_vec(weights.concat(), (chunks, tokens, 1), states.device())?;
    let full = states.to_dtype(DType::F32)?;
    let weighted = full.broadcast_mul(&weights)?;
    let mean = |states: &Tensor| states.mean_keepdim((1, 2));
    weighted.broadcast_mul(&mean(&full)?.broadcast_div(&mean(&weighted)?)?)?.to_dtype(states.dtype())
}
