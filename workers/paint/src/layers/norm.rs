//! Layer norm, and group norm with the activation behind it.

use anyhow::Result;
use candle_core::{DType, Tensor};
use shanshui_kernels::{
    Kernels, Norm,
    floats::{Affine, Prepare},
};

use super::{activation::Activation, map::Plain};
use crate::diffusers::weights::Weights;

/// Normalises the last dimension.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    plain: Norm,
    epsilon: f64,
}

impl LayerNorm {
    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, width: usize, epsilon: f64) -> Result<Self> {
        let (weight, bias) = (weights.tensor("weight", &[width])?, weights.tensor("bias", &[width])?);
        Ok(Self { plain: plain([&weight, &bias], epsilon)?, weight, bias, epsilon })
    }

    /// Keeps the shape.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        candle_nn::ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.epsilon as f32)
    }

    /// For an operand of the next product.
    pub(crate) fn prepare(&self) -> Prepare<'_> {
        Prepare::LayerNorm(&self.plain)
    }
}

/// Normalises groups of channels, in f32 whatever the type of the map (arXiv:1803.08494).
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    plain: Norm,
    groups: usize,
    epsilon: f64,
    silu: bool,
}

impl GroupNorm {
    /// Loads `weight` and `bias`; `groups` must divide `channels`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, channels: usize, groups: usize, epsilon: f64) -> Result<Self> {
        anyhow::ensure!(channels.is_multiple_of(groups), "norm_num_groups: {groups}, must divide {channels} channels");
        let weights = weights.exact();
        let (weight, bias) = (weights.tensor("weight", &[channels])?, weights.tensor("bias", &[channels])?);
        let plain = plain([&weight, &bias], epsilon)?;
        Ok(Self { weight, bias, plain, groups, epsilon, silu: false })
    }

    /// The same with a SiLU behind it.
    #[must_use]
    pub fn with_silu(self) -> Self {
        Self { silu: true, ..self }
    }

    pub(crate) fn silu(&self) -> bool {
        self.silu
    }

    /// What it comes to for each channel of a map.
    pub(crate) fn affine(&self, kernels: Kernels, x: &Plain) -> Affine {
        kernels.group_norm(x.parts(), self.groups, &self.plain)
    }

    /// Keeps the shape (batch, channels, height, width).
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let grouped = x.to_dtype(self.weight.dtype())?.reshape((batch, self.groups, ()))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(2)? + self.epsilon)?.sqrt()?;
        let normal = centred.broadcast_div(&deviation)?.reshape((batch, channels, height, width))?;
        let weight = self.weight.reshape((1, channels, 1, 1))?;
        let y = normal.broadcast_mul(&weight)?.broadcast_add(&self.bias.reshape((1, channels, 1, 1))?)?;
        let y = if self.silu { Activation::Silu.apply(y)? } else { y };
        y.to_dtype(x.dtype())
    }
}

/// Weight and bias for the kernels.
fn plain(tensors: [&Tensor; 2], epsilon: f64) -> Result<Norm> {
    let values = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.to_vec1();
    let [weight, bias] = tensors;
    Ok(Norm { weight: values(weight)?, bias: values(bias)?, epsilon: epsilon as f32 })
}
