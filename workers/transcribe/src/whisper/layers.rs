//! Linear layers and norms, and how they are put together from the tensors of a checkpoint.

use candle_core::{Device, Result, Tensor};

use super::{
    dims::{Dims, Tower},
    kernels, products,
    weights::{Weights, WeightsError},
};

/// `x · weightᵀ + bias` over rows.
#[derive(Debug)]
pub(super) struct Linear {
    /// (outputs, inputs)
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// (rows, inputs) to (rows, outputs).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.product(x)?.broadcast_add(&self.bias)
    }

    /// The same, followed by GELU.
    pub(super) fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        kernels::bias_gelu(self.product(x)?, &self.bias)
    }

    fn product(&self, x: &Tensor) -> Result<Tensor> {
        products::rows_times_transposed(x, &self.weight)
    }
}

/// Layer normalisation (Ba et al., 2016) with Whisper's epsilon of 1e-5.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::layer_norm(x, &self.weight, &self.bias, 1e-5)
    }
}

/// The two layers between attention blocks.
#[derive(Debug)]
pub(super) struct FeedForward {
    norm: LayerNorm,
    up: Linear,
    down: Linear,
}

impl FeedForward {
    /// Adds its result to `x`, (rows, width).
    pub(super) fn add_to(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.up.forward_gelu(&self.norm.forward(x)?)?;
        x + self.down.forward(&hidden)?
    }
}

/// Takes tensors out of a checkpoint, as f32 on one device.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) weights: &'a Weights,
    pub(super) dims: &'a Dims,
    pub(super) device: &'a Device,
}

impl Loader<'_> {
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> anyhow::Result<Tensor> {
        let mut values = Vec::new();
        self.weights.append(name, shape, &mut values)?;
        Ok(Tensor::from_vec(values, shape, self.device)?)
    }

    pub(super) fn norm(&self, name: &str) -> anyhow::Result<LayerNorm> {
        let width = [self.dims.width];
        Ok(LayerNorm {
            weight: self.tensor(&format!("{name}.weight"), &width)?,
            bias: self.tensor(&format!("{name}.bias"), &width)?,
        })
    }

    pub(super) fn linear(&self, name: &str, inputs: usize, outputs: usize) -> anyhow::Result<Linear> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: self.tensor(&format!("{name}.bias"), &[outputs])?,
        })
    }

    pub(super) fn feed_forward(&self, layer: &str) -> anyhow::Result<FeedForward> {
        let Dims { width, hidden, .. } = *self.dims;
        Ok(FeedForward {
            norm: self.norm(&format!("{layer}.final_layer_norm"))?,
            up: self.linear(&format!("{layer}.fc1"), width, hidden)?,
            down: self.linear(&format!("{layer}.fc2"), hidden, width)?,
        })
    }

    /// Several projections of an attention block as one: their rows stacked. The queries carry
    /// the scale of the scores, 1/sqrt(head width); keys have no bias in Whisper.
    pub(super) fn projections(&self, block: &str, names: &[&str], tower: Tower) -> anyhow::Result<Linear> {
        let width = self.dims.width;
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            let start = (weight.len(), bias.len());
            self.weights.append(&format!("{block}.{name}.weight"), &[width, width], &mut weight)?;
            match self.weights.append(&format!("{block}.{name}.bias"), &[width], &mut bias) {
                Err(WeightsError::Missing(_)) if *name == "k_proj" => bias.resize(start.1 + width, 0.0),
                result => result?,
            }
            if *name == "q_proj" {
                let scale = ((width / tower.heads) as f32).sqrt().recip();
                weight[start.0..].iter_mut().chain(&mut bias[start.1..]).for_each(|value| *value *= scale);
            }
        }
        let rows = names.len() * width;
        Ok(Linear {
            weight: Tensor::from_vec(weight, (rows, width), self.device)?,
            bias: Tensor::from_vec(bias, rows, self.device)?,
        })
    }

    /// A convolution over three frames as a linear layer: the weights of the first frame for all
    /// channels, then those of the second and the third.
    pub(super) fn convolution(&self, name: &str, channels: usize) -> anyhow::Result<Linear> {
        let width = self.dims.width;
        let weight = self.tensor(&format!("{name}.weight"), &[width, channels, 3])?;
        let weight = weight.transpose(1, 2)?.contiguous()?.reshape((width, 3 * channels))?;
        Ok(Linear { weight, bias: self.tensor(&format!("{name}.bias"), &[width])? })
    }
}
