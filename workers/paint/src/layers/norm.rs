//! Layer norm, and group norm fused with the activation behind it.

use anyhow::Result;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Shape, Tensor};

use super::{
    activation::{Activation, silu},
    elementwise::{elements, for_rows, sum},
    is_plain,
};
use crate::diffusers::weights::Weights;

/// Normalises the last dimension.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, width: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { weight: weights.tensor("weight", &[width])?, bias: weights.tensor("bias", &[width])?, epsilon })
    }

    /// Keeps the shape.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        candle_nn::ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.epsilon as f32)
    }
}

/// Normalises groups of channels of (batch, channels, height, width), in f32 (arXiv:1803.08494).
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    fused: Fused,
}

#[derive(Clone, Copy)]
struct Fused {
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
        let fused = Fused { groups, epsilon, silu: false };
        Ok(Self { weight: weights.tensor("weight", &[channels])?, bias: weights.tensor("bias", &[channels])?, fused })
    }

    /// The same with a SiLU behind it.
    #[must_use]
    pub fn with_silu(mut self) -> Self {
        self.fused.silu = true;
        self
    }

    /// Keeps the shape.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if is_plain(x) {
            return x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &self.fused);
        }
        let (batch, channels, height, width) = x.dims4()?;
        let grouped = x.to_dtype(DType::F32)?.reshape((batch, self.fused.groups, ()))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(2)? + self.fused.epsilon)?.sqrt()?;
        let normal = centred.broadcast_div(&deviation)?.to_dtype(x.dtype())?;
        let normal = normal.reshape((batch, channels, height, width))?;
        let weight = self.weight.reshape((1, channels, 1, 1))?;
        let y = normal.broadcast_mul(&weight)?.broadcast_add(&self.bias.reshape((1, channels, 1, 1))?)?;
        if self.fused.silu { Activation::Silu.apply(y) } else { Ok(y) }
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "group-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (elements(s1, l1)?, elements(s2, l2)?, elements(s3, l3)?);
        let (batch, channels, height, width) = l1.shape().dims4()?;
        let (pixels, per_group) = (height * width, channels / self.groups);
        let size = pixels * per_group;
        let mut out = vec![0.0; batch * channels * pixels];
        for_rows(&mut out, size, |index, group| {
            let source = &x[index * size..][..size];
            let mean = sum(source, |value| value) / size as f32;
            let variance = sum(source, |value| (value - mean) * (value - mean)) / size as f32;
            let scale = 1.0 / (variance + self.epsilon as f32).sqrt();
            let first = index % self.groups * per_group;
            for (channel, (y, x)) in group.chunks_exact_mut(pixels).zip(source.chunks_exact(pixels)).enumerate() {
                let factor = weight[first + channel] * scale;
                self.channel(x, y, factor, bias[first + channel] - mean * factor);
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}

impl Fused {
    fn channel(&self, x: &[f32], y: &mut [f32], factor: f32, offset: f32) {
        if self.silu {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = silu(x * factor + offset));
        } else {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x * factor + offset);
        }
    }
}
