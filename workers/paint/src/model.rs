//! A loaded Stable Diffusion pipeline: text to states, latents to predictions, latents to pictures.

use std::path::Path;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{
    diffusers::{
        Configs,
        recommended::Recommended,
        scheduler::SchedulerConfig,
        weights::{WeightFiles, Weights},
    },
    text_encoder::TextEncoder,
    tokenizer::Tokenizer,
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

impl Model {
    /// Loads a folder in the diffusers layout; weights are cast to `dtype`.
    ///
    /// # Errors
    /// Names the file, and the field or tensor, that is missing, malformed or not supported.
    pub fn load(folder: &Path, device: &Device, dtype: DType) -> Result<Self> {
        let configs = Configs::read(folder)?;
        let recommended = Recommended::read(folder, &configs)?;
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

    /// Prompts to states (prompts, tokens, width), all of the same number of tokens: longer prompts are
    /// read in chunks of the text encoder's length, whose states are joined.
    ///
    /// # Errors
    /// When a prompt is too long or the device fails.
    pub fn encode(&self, prompts: &[&str]) -> Result<Tensor> {
        let chunks = self.tokenizer.chunks(prompts)?;
        let states = self.text.forward(&chunks.concat())?;
        let width = states.dim(2)?;
        Ok(states.reshape((prompts.len(), (), width))?)
    }

    /// States as the UNet uses them at every step; the rows of [`Model::predict`] are the rows of `states`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn prepare(&self, states: &Tensor) -> Result<Context> {
        Ok(self.unet.prepare(states)?)
    }

    /// What the UNet sees in latents (batch, channels, height, width) at a timestep (batch) for each row,
    /// in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn predict(&self, latents: &Tensor, timesteps: &Tensor, context: &Context) -> Result<Tensor> {
        let prediction = self.unet.forward(&self.to_own(latents)?, &timesteps.to_device(&self.device)?, context)?;
        Ok(prediction.to_dtype(DType::F32)?)
    }

    /// Latents to pictures (batch, 3, height, width) in [0, 1], in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let pictures = self.vae.decode(&self.to_own(latents)?)?.to_dtype(DType::F32)?;
        Ok(pictures.affine(0.5, 0.5)?.clamp(0.0, 1.0)?)
    }

    /// Pictures (batch, 3, height, width) in [0, 1] to latents, in f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn encode_pictures(&self, pictures: &Tensor) -> Result<Tensor> {
        let pixels = self.to_own(&pictures.affine(2.0, -1.0)?)?;
        Ok(self.vae.encode(&pixels)?.to_dtype(DType::F32)?)
    }

    /// Channels, height and width of the latents of a picture.
    ///
    /// # Errors
    /// When a side is not a multiple of [`Model::scale`].
    pub fn latent_shape(&self, width: usize, height: usize) -> Result<[usize; 3]> {
        let scale = self.scale();
        for (name, side) in [("width", width), ("height", height)] {
            ensure!(side > 0 && side % scale == 0, "{name}: {side}, allowed are multiples of {scale}");
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

    fn to_own(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_device(&self.device)?.to_dtype(self.dtype)?)
    }
}
