//! Activations and the softmax.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor};

use super::{
    elementwise::{elements_mut, erf, exp, for_rows, sum},
    is_plain,
};

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x * Phi(x)`, with the error function.
    Gelu,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
}

impl Activation {
    /// Applies the function to a fresh tensor that nobody else holds; its elements may be overwritten.
    ///
    /// # Errors
    /// When the device fails.
    pub fn apply(self, x: Tensor) -> Result<Tensor> {
        if is_plain(&x) && x.is_contiguous() {
            x.inplace_op1(&self)?;
            return Ok(x);
        }
        match self {
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu_erf(),
            Self::QuickGelu => &x * candle_nn::ops::sigmoid(&(&x * 1.702)?)?,
        }
    }
}

impl InplaceOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let values = elements_mut(storage, layout)?;
        let width = layout.dims().last().copied().unwrap_or(1);
        match self {
            Self::Silu => for_rows(values, width, |_, row| row.iter_mut().for_each(|x| *x = silu(*x))),
            Self::Gelu => for_rows(values, width, |_, row| row.iter_mut().for_each(|x| *x = gelu(*x))),
            Self::QuickGelu => {
                for_rows(values, width, |_, row| row.iter_mut().for_each(|x| *x /= 1.0 + exp(-1.702 * *x)));
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The first half of the last dimension times the GELU of the second (arXiv:2002.05202).
///
/// # Errors
/// When the last dimension is odd or the device fails.
pub fn geglu(x: &Tensor) -> Result<Tensor> {
    let halves = x.chunk(2, candle_core::D::Minus1)?;
    &halves[0] * halves[1].gelu_erf()?
}

/// Softmax over the last dimension of a fresh tensor; its elements may be overwritten.
///
/// # Errors
/// When the device fails.
pub fn softmax(x: Tensor) -> Result<Tensor> {
    if is_plain(&x) && x.is_contiguous() {
        x.inplace_op1(&Softmax)?;
        return Ok(x);
    }
    candle_nn::ops::softmax_last_dim(&x.contiguous()?)
}

struct Softmax;

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let width = layout.dims().last().copied().unwrap_or(1);
        for_rows(elements_mut(storage, layout)?, width, |_, row| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|x| *x = exp(*x - largest));
            let scale = 1.0 / sum(row, |x| x);
            row.iter_mut().for_each(|x| *x *= scale);
        });
        Ok(())
    }
}
