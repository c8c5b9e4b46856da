//! The embedding of timesteps.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use crate::{
    diffusers::{unet_config::UnetConfig, weights::Weights},
    layers::{activation::Activation, linear::Linear},
};

/// Sines and cosines of a timestep, then two linear layers.
pub(super) struct TimeEmbedding {
    frequencies: Tensor,
    cosines_first: bool,
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
            linear1: Linear::load(&weights.at("linear_1"), channels, 4 * channels)?,
            linear2: Linear::load(&weights.at("linear_2"), 4 * channels, 4 * channels)?,
        })
    }

    /// Timesteps (batch) to (batch, 4 · channels), with the SiLU that every residual block begins with.
    pub(super) fn forward(&self, timesteps: &Tensor, dtype: DType) -> candle_core::Result<Tensor> {
        let angles = timesteps.to_dtype(DType::F32)?.unsqueeze(1)?.broadcast_mul(&self.frequencies)?;
        let (sines, cosines) = (angles.sin()?, angles.cos()?);
        let waves = if self.cosines_first { [cosines, sines] } else { [sines, cosines] };
        let hidden = self.linear1.forward(&Tensor::cat(&waves, 1)?.to_dtype(dtype)?)?;
        Activation::Silu.apply(self.linear2.forward(&Activation::Silu.apply(hidden)?)?)
    }
}
