//! Two-dimensional convolution of (batch, channels, height, width).

use anyhow::Result;
use candle_core::Tensor;

use super::{
    im2col::{AddBias, Im2Col},
    is_plain,
};
use crate::diffusers::weights::Weights;

pub use super::im2col::Window;

/// A square convolution with bias.
pub struct Conv {
    /// (outputs, inputs, kernel, kernel).
    weight: Tensor,
    bias: Tensor,
    window: Window,
}

/// Columns are made in pieces of about this many elements, so that they are still in the cache when multiplied.
const PIECE: usize = 1 << 19;

impl Conv {
    /// Loads a 3×3 convolution that keeps the size.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with_window(weights, inputs, outputs, Window { kernel: 3, stride: 1, before: 1, after: 1 })
    }

    /// The same where files leave a bias of zero out.
    ///
    /// # Errors
    /// As [`Conv::load`].
    pub fn load_with_or_without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let window = Window { kernel: 3, stride: 1, before: 1, after: 1 };
        let weight = weights.tensor("weight", &[outputs, inputs, 3, 3])?;
        let bias = match weights.has("bias") {
            true => weights.tensor("bias", &[outputs])?,
            false => Tensor::zeros(outputs, weight.dtype(), weight.device())?,
        };
        Ok(Self { weight, bias, window })
    }

    /// Loads a convolution of any window.
    ///
    /// # Errors
    /// As [`Conv::load`].
    pub fn with_window(weights: &Weights<'_>, inputs: usize, outputs: usize, window: Window) -> Result<Self> {
        let shape = [outputs, inputs, window.kernel, window.kernel];
        Ok(Self { weight: weights.tensor("weight", &shape)?, bias: weights.tensor("bias", &[outputs])?, window })
    }

    /// Maps (batch, inputs, height, width) to (batch, outputs, …).
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.forward_with(x, &self.bias)
    }

    /// The same with `extra` (batch, outputs) added to every pixel.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward_adding(&self, x: &Tensor, extra: &Tensor) -> candle_core::Result<Tensor> {
        self.forward_with(x, &extra.broadcast_add(&self.bias)?)
    }

    fn forward_with(&self, x: &Tensor, bias: &Tensor) -> candle_core::Result<Tensor> {
        let x = x.contiguous()?;
        if is_plain(&x) { self.on_cpu(&x, bias) } else { self.on_device(&x, bias) }
    }

    fn on_device(&self, x: &Tensor, bias: &Tensor) -> candle_core::Result<Tensor> {
        let Window { stride, before, after, .. } = self.window;
        let y = if before == after {
            x.conv2d(&self.weight, before, stride, 1, 1)?
        } else {
            let padded = x.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
            padded.conv2d(&self.weight, 0, stride, 1, 1)?
        };
        let (rows, outputs) = (bias.elem_count() / y.dim(1)?, y.dim(1)?);
        y.broadcast_add(&bias.reshape((rows, outputs, 1, 1))?)
    }

    /// Columns of patches times the weights: candle's matrix product does the work.
    fn on_cpu(&self, x: &Tensor, bias: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, inputs, height, width) = x.dims4()?;
        let (high, wide) = (self.window.outputs(height), self.window.outputs(width));
        let outputs = self.weight.dim(0)?;
        let depth = inputs * self.window.kernel * self.window.kernel;
        let weight = self.weight.reshape((outputs, depth))?;
        let step = (PIECE / (depth * batch * wide)).clamp(1, high);
        let mut pieces = Vec::with_capacity(high.div_ceil(step));
        for first in (0..high).step_by(step) {
            let rows = first..high.min(first + step);
            let columns = x.apply_op1_no_bwd(&Im2Col { window: self.window, rows })?;
            pieces.push(weight.matmul(&columns)?);
        }
        AddBias { batch, high, wide }.gather(&pieces, bias)
    }
}
