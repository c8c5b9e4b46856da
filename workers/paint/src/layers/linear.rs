//! Linear layers.

use anyhow::Result;
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};

use super::{
    elementwise::{elements, elements_mut, for_rows},
    is_plain,
};
use crate::diffusers::weights::Weights;

/// `x W^T + b` over the last dimension.
pub struct Linear {
    /// Transposed: (inputs, outputs).
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = weights.tensor("bias", &[outputs])?;
        Ok(Self { bias: Some(bias), ..Self::load_without_bias(weights, inputs, outputs)? })
    }

    /// Loads `weight` alone.
    ///
    /// # Errors
    /// When the tensor is missing or misshapen.
    pub fn load_without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: weights.matrix("weight", outputs, inputs)?.t()?, bias: None })
    }

    /// The same layer with its output multiplied by `factor`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn scaled(self, factor: f64) -> Result<Self> {
        let bias = self.bias.map(|bias| bias * factor).transpose()?;
        // Multiplying packs the transposed view; transposing twice keeps the stored order.
        Ok(Self { weight: (self.weight.t()? * factor)?.t()?, bias })
    }

    /// Maps (…, inputs) to (…, outputs).
    ///
    /// # Errors
    /// When the last dimension is not `inputs` or the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (inputs, outputs) = self.weight.dims2()?;
        let mut dims = x.dims().to_vec();
        // One tall product instead of a batch of small ones.
        let product = x.reshape(((), inputs))?.matmul(&self.weight)?;
        let y = match &self.bias {
            Some(bias) => add_to_rows(product, bias)?,
            None => product,
        };
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        y.reshape(dims)
    }
}

/// Adds a vector to every row of a fresh matrix.
fn add_to_rows(x: Tensor, vector: &Tensor) -> candle_core::Result<Tensor> {
    if !is_plain(&x) {
        return x.broadcast_add(vector);
    }
    x.inplace_op2(vector, &AddToRows)?;
    Ok(x)
}

struct AddToRows;

impl InplaceOp2 for AddToRows {
    fn name(&self) -> &'static str {
        "add-to-rows"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> candle_core::Result<()> {
        let vector = elements(s2, l2)?;
        for_rows(elements_mut(s1, l1)?, vector.len(), |_, row| {
            row.iter_mut().zip(vector).for_each(|(x, y)| *x += y);
        });
        Ok(())
    }
}
