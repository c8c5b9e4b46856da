//! The residual block of UNet and autoencoder.

use anyhow::Result;
use candle_core::Tensor;

use super::{
    conv::{Conv, Window},
    linear::Linear,
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
}

impl Resnet {
    /// Loads the block.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen, or channels do not divide into groups.
    pub fn load(weights: &Weights<'_>, config: ResnetConfig) -> Result<Self> {
        let ResnetConfig { inputs, outputs, time, groups, epsilon } = config;
        anyhow::ensure!(inputs % groups == 0, "norm_num_groups: {groups}, must divide {inputs} channels");
        let point = Window { kernel: 1, stride: 1, before: 0, after: 0 };
        let shortcut = || Conv::with_window(&weights.at("conv_shortcut"), inputs, outputs, point);
        Ok(Self {
            norm1: GroupNorm::load(&weights.at("norm1"), inputs, groups, epsilon)?.with_silu(),
            conv1: Conv::load(&weights.at("conv1"), inputs, outputs)?,
            time: time.map(|width| Linear::load(&weights.at("time_emb_proj"), width, outputs)).transpose()?,
            norm2: GroupNorm::load(&weights.at("norm2"), outputs, groups, epsilon)?.with_silu(),
            conv2: Conv::load(&weights.at("conv2"), outputs, outputs)?,
            shortcut: (inputs != outputs).then(shortcut).transpose()?,
        })
    }

    /// `time` is the activated embedding (batch, width) of each row's timestep.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let hidden = self.norm1.forward(x)?;
        let hidden = match self.time.as_ref().zip(time) {
            Some((layer, time)) => self.conv1.forward_adding(&hidden, &layer.forward(time)?)?,
            None => self.conv1.forward(&hidden)?,
        };
        let hidden = self.conv2.forward(&self.norm2.forward(&hidden)?)?;
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)? + hidden,
            None => x + hidden,
        }
    }
}
