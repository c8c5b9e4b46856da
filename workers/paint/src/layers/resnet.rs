//! The residual block of UNet and autoencoder.

use anyhow::Result;
use candle_core::Tensor;

use super::{
    conv::{Around, Conv, Window},
    linear::Linear,
    map::Map,
    norm::GroupNorm,
};
use crate::diffusers::weights::Weights;

/// Norm, SiLU, convolution, twice; the timestep's embedding comes in between.
pub struct Resnet {
    norm1: GroupNorm,
    conv1: Conv,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv,
    shortcut: Option<Conv>,
}

/// Shape of a [`Resnet`].
#[derive(Clone, Copy)]
pub struct ResnetConfig {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Width of the timestep's embedding, in the UNet.
    pub time: Option<usize>,
    /// Groups of the norms.
    pub groups: usize,
    /// Epsilon of the norms.
    pub epsilon: f64,
    /// Whether maps have at least 16 pixels a line.
    pub wide: bool,
}

impl Resnet {
    /// Loads the block.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen, or channels do not divide into groups.
    pub fn load(weights: &Weights<'_>, config: ResnetConfig) -> Result<Self> {
        let ResnetConfig { inputs, outputs, time, groups, epsilon, wide } = config;
        let load = if wide { Conv::load_wide } else { Conv::load };
        let point = Window { kernel: 1, stride: 1, before: 0, after: 0 };
        let shortcut = || Conv::with_window(&weights.at("conv_shortcut"), inputs, outputs, point);
        Ok(Self {
            norm1: GroupNorm::load(&weights.at("norm1"), inputs, groups, epsilon)?.with_silu(),
            conv1: load(&weights.at("conv1"), inputs, outputs)?,
            time: time.map(|width| Linear::load(&weights.at("time_emb_proj"), width, outputs)).transpose()?,
            norm2: GroupNorm::load(&weights.at("norm2"), outputs, groups, epsilon)?.with_silu(),
            conv2: load(&weights.at("conv2"), outputs, outputs)?,
            shortcut: (inputs != outputs).then(shortcut).transpose()?,
        })
    }

    /// `time` is the activated embedding (batch, width) of each row's timestep.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: Map, time: Option<&Tensor>) -> candle_core::Result<Map> {
        let time = self.time.as_ref().zip(time).map(|(layer, time)| layer.forward(time)).transpose()?;
        let first = Around { norm: Some(&self.norm1), extra: time.as_ref(), ..Around::default() };
        let hidden = self.conv1.forward_with(&x, first)?;
        // The largest maps of the autoencoder: what is not needed any more goes first.
        let residual = match &self.shortcut {
            Some(shortcut) => shortcut.forward_onto(x)?,
            None => x,
        };
        let second = Around { norm: Some(&self.norm2), add: Some(residual), ..Around::default() };
        self.conv2.forward_with(&hidden, second)
    }
}
