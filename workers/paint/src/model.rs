//! A loaded Stable Diffusion pipeline: text to states, latents to predictions, latents to pictures.

use std::path::Path;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use shanshui_common::fields::FieldError;

use crate::{
    diffusers::{
        Configs,
        recommended::Recommended,
        scheduler::SchedulerConfig,
        weights::{WeightFiles, Weights},
    },
    error::PaintError,
    text_encoder::TextEncoder,
    tokenizer::{Chunks, Tokenizer},
    unet::Unet,
    vae::Vae,
};

pub use crate::unet::Context;

/// The networks of one model folder, on one device.
pub struct Model {
    tokenizer: Tokenizer,
    text: TextEncoder,
    unet: Unet,
    vae: Vae,
    configs: Configs,
    recommended: Recommended,
    hashes: Vec<(String, String)>,
    dtype: DType,
    device: Device,
}

/// Texts as the UNet is told them.
pub struct Encoded {
    /// (prompts, tokens, width).
    pub states: Tensor,
    /// Whether the end of a prompt was left out.
    pub truncated: bool,
}

impl Model {
    /// Loads a folder in the diffusers layout; weights are cast to `dtype`.
    ///
    /// # Errors
    /// Names the file, and the field or tensor, that is missing, malformed or not supported.
    pub fn load(folder: &Path, device: &Device, dtype: DType) -> Result<Self> {
        let configs = Configs::read(folder)?;
        let recommended = Recommended::read(folder, &configs)?;
        if let Some(class) = &configs.wanted.instead_of {
            tracing::warn!(
                sampler = recommended.sampler,
                "the scheduler {class} is not here: this sampler stands in for it"
            );
        }
        let tokenizer = Tokenizer::read(folder, &configs.text)?;
        let text = WeightFiles::open(folder, "text_encoder", "model")?;
        let unet = WeightFiles::open(folder, "unet", "diffusion_pytorch_model")?;
        let vae = WeightFiles::open(folder, "vae", "diffusion_pytorch_model")?;
        // The unet's first: A1111's `Model hash` in the pictures is its.
        let hashes = [&unet, &vae, &text].into_par_iter().flat_map(WeightFiles::hashes).collect();
        Ok(Self {
            tokenizer,
            text: TextEncoder::load(&Weights::new(&text, dtype, device), &configs.text)?,
            unet: Unet::load(&Weights::new(&unet, dtype, device), &configs.unet, device)?,
            vae: Vae::load(&Weights::new(&vae, dtype, device), &configs.vae)?,
            configs,
            recommended,
            hashes,
            dtype,
            device: device.clone(),
        })
    }

    /// Prompts to states, all of the same number of tokens: longer prompts are read in chunks of the text
    /// encoder's length, whose states are joined.
    ///
    /// # Errors
    /// When a prompt has no tokens to speak of, or the device fails.
    pub fn encode(&self, prompts: &[&str]) -> Result<Encoded, PaintError> {
        let Chunks { ids, truncated } = self.tokenizer.chunks(prompts)?;
        let states = self.text.forward(&ids.concat())?;
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

    /// What the UNet sees in latents (batch, channels, height, width) at a timestep (batch) for each row,
    /// in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn predict(&self, latents: &Tensor, timesteps: &Tensor, context: &Context) -> candle_core::Result<Tensor> {
        let prediction = self.unet.forward(&self.to_own(latents)?, &timesteps.to_device(&self.device)?, context)?;
        prediction.to_dtype(DType::F32)
    }

    /// Latents to pictures (batch, 3, height, width) in [0, 1], in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        let pictures = self.vae.decode(&self.to_own(latents)?)?.to_dtype(DType::F32)?;
        pictures.affine(0.5, 0.5)?.clamp(0.0, 1.0)
    }

    /// Pictures (batch, 3, height, width) in [0, 1] to latents, in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn encode_pictures(&self, pictures: &Tensor) -> candle_core::Result<Tensor> {
        let pixels = self.to_own(&pictures.affine(2.0, -1.0)?)?;
        self.vae.encode(&pixels)?.to_dtype(DType::F32)
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

    /// Path below the folder and sha256 in hex, of each weight file, the UNet's first.
    pub fn hashes(&self) -> &[(String, String)] {
        &self.hashes
    }

    fn to_own(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(self.dtype)
    }
}
