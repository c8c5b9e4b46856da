//! The autoencoder between pictures and latents (`AutoencoderKL`, arXiv:2112.10752).

use anyhow::Result;
use candle_core::Tensor;

use self::{decoder::Decoder, encoder::Encoder};
use crate::diffusers::{vae_config::VaeConfig, weights::Weights};

mod decoder;
mod encoder;
mod half;
#[cfg(test)]
mod tests;
pub mod tiny;

/// The decoder and the scale of the latents before it.
pub struct Vae {
    decoder: Decoder,
    scaling: f64,
    shift: f64,
}

/// The encoder and the scale of the latents behind it.
pub struct VaeEncoder {
    encoder: Encoder,
    scaling: f64,
    shift: f64,
}

impl Vae {
    /// Loads the decoder.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, config: &VaeConfig) -> Result<Self> {
        let (scaling, shift) = (config.scaling_factor, config.shift_factor.unwrap_or(0.0));
        Ok(Self { decoder: Decoder::load(weights, config)?, scaling, shift })
    }

    /// Latents as the UNet makes them to pictures (batch, 3, height, width) in about [-1, 1].
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        self.decoder.forward(&latents.affine(1.0 / self.scaling, self.shift)?)
    }
}

impl VaeEncoder {
    /// Loads the encoder.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, config: &VaeConfig) -> Result<Self> {
        let (scaling, shift) = (config.scaling_factor, config.shift_factor.unwrap_or(0.0));
        Ok(Self { encoder: Encoder::load(weights, config)?, scaling, shift })
    }

    /// Pictures in [-1, 1] to the most likely latents.
    ///
    /// # Errors
    /// When the device fails.
    pub fn encode(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        (self.encoder.forward(pixels)? - self.shift)? * self.scaling
    }
}
