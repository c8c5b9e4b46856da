//! The embedding of timesteps.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use crate::{
    diffusers::{
        unet_config::UnetConfig,
        weights::{Weights, wide},
    },
    layers::{activation::Activation, linear::Linear},
};

/// Sines and cosines of a timestep, then two linear layers.
pub(super) struct TimeEmbedding {
    frequencies: Tensor,
    cosines_first: bool,
    guidance: Option<Linear>,
    linear1: Linear,
    linear2: Linear,
}

impl TimeEmbedding {
    pub(super) fn load(weights: &Weights<'_>, config: &UnetConfig, channels: usize, device: &Device) -> Result<Self> {
        anyhow::ensure!(channels.is_multiple_of(2), "block_out_channels: {channels}, the first must be even");
        let half = channels / 2;
        let exponent = |index: usize| -(10_000_f64.ln()) * index as f64 / (half as f64 - config.freq_shift);
        let frequencies: Vec<f32> = (0..half).map(|index| exponent(index).exp() as f32).collect();
        Ok(Self {
            frequencies: Tensor::from_vec(frequencies, (1, half), device)?,
            cosines_first: config.flip_sin_to_cos,
            guidance: config
                .time_cond_proj_dim
                .map(|width| Linear::load_without_bias(&weights.at("cond_proj"), width, channels))
                .transpose()?,
            linear1: Linear::load(&weights.at("linear_1"), channels, 4 * channels)?,
            linear2: Linear::load(&weights.at("linear_2"), 4 * channels, 4 * channels)?,
        })
    }

    /// Timesteps (batch) to (batch, 4 · channels), with the SiLU that every residual block begins with;
    /// `guidance` (1 or batch, width) is the embedded scale, in models that are told it.
    pub(super) fn forward(
        &self,
        timesteps: &Tensor,
        guidance: Option<&Tensor>,
        dtype: DType,
    ) -> candle_core::Result<Tensor> {
        let angles = timesteps.to_dtype(DType::F32)?.unsqueeze(1)?.broadcast_mul(&self.frequencies)?;
        let (sines, cosines) = (angles.sin()?, angles.cos()?);
        let waves = if self.cosines_first { [cosines, sines] } else { [sines, cosines] };
        let mut waves = Tensor::cat(&waves, 1)?.to_dtype(wide(dtype))?;
        if let Some((layer, guidance)) = self.guidance.as_ref().zip(guidance) {
            waves = waves.broadcast_add(&layer.forward(&guidance.to_dtype(wide(dtype))?)?)?;
        }
        let hidden = self.linear1.forward(&waves)?;
        Activation::Silu.apply(self.linear2.forward(&Activation::Silu.apply(hidden)?)?)?.to_dtype(dtype)
    }
}

/// The scale of guidance as sines and cosines (1, width): Meng et al., arXiv:2210.03142, as in latent
/// consistency models.
pub(super) fn embed_guidance(guidance: f64, width: usize, device: &Device) -> candle_core::Result<Tensor> {
    let half = width / 2;
    let angle = |index: usize| {
        let frequency = (-(10_000_f64.ln()) * index as f64 / (half as f64 - 1.0)).exp();
        (guidance - 1.0) * 1000.0 * frequency
    };
    let sines = (0..half).map(|index| angle(index).sin() as f32);
    let waves: Vec<f32> = sines.chain((0..half).map(|index| angle(index).cos() as f32)).collect();
    Tensor::from_vec(waves, (1, width), device)
}
