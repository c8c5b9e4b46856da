//! Linear layers.

use anyhow::Result;
use candle_core::{Device, Tensor};
use shanshui_kernels::{
    Kernels,
    floats::{Border, Dense, Grid, Operand, Prepare, Product, Shape, Window},
};

use super::ensure_countable;
use super::map::{Plain, with_floats};
use crate::diffusers::weights::Weights;

/// `x W^T + b` over the last dimension.
pub struct Linear {
    kind: Kind,
}

enum Kind {
    Packed(Kernels, Dense),
    /// Transposed: (inputs, outputs); and the bias.
    Tensors(Tensor, Option<Tensor>),
}

/// What is left of a layer's loading.
#[derive(Clone, Copy)]
struct Form {
    factor: f64,
    gated: bool,
}

const PLAIN: Form = Form { factor: 1.0, gated: false };

/// The window of a linear layer.
const POINT: Window = Window { kernel: 1, stride: 1 };

impl Linear {
    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with(weights, [inputs, outputs], true, PLAIN)
    }

    /// Loads `weight` alone.
    ///
    /// # Errors
    /// When the tensor is missing or misshapen.
    pub fn load_without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with(weights, [inputs, outputs], false, PLAIN)
    }

    /// Loads a layer whose output is multiplied by `factor`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load_scaled(weights: &Weights<'_>, inputs: usize, outputs: usize, bias: bool, factor: f64) -> Result<Self> {
        Self::with(weights, [inputs, outputs], bias, Form { factor, gated: false })
    }

    /// Loads a layer of which the second half of the outputs gates the first.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load_gated(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with(weights, [inputs, outputs], true, Form { factor: 1.0, gated: true })
    }

    fn with(weights: &Weights<'_>, [inputs, outputs]: [usize; 2], bias: bool, form: Form) -> Result<Self> {
        let mut weight = weights.matrix("weight", outputs, inputs)?;
        let mut bias = bias.then(|| weights.tensor("bias", &[outputs])).transpose()?;
        if form.factor != 1.0 {
            weight = (weight * form.factor)?;
            bias = bias.map(|bias| bias * form.factor).transpose()?;
        }
        let Some((kernels, precision)) = weights.kernels() else {
            return Ok(Self { kind: Kind::Tensors(weight.t()?, bias) });
        };
        let shape = Shape { outputs, inputs, kernel: 1 };
        let pack = if form.gated { Dense::pack_gated } else { Dense::pack };
        let dense = with_floats(&weight, |weight| match &bias {
            Some(bias) => with_floats(bias, |bias| pack(precision, shape, weight, bias)),
            None => Ok(pack(precision, shape, weight, &[])),
        });
        Ok(Self { kind: Kind::Packed(kernels, dense??) })
    }

    /// Maps (…, inputs) to (…, outputs) of the same type. Not for a gated layer on a CPU.
    ///
    /// # Errors
    /// When the last dimension is not `inputs` or the device fails.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut dims = x.dims().to_vec();
        let width = dims.pop().unwrap_or(1);
        let y = match &self.kind {
            Kind::Packed(kernels, dense) => {
                let rows = x.elem_count() / width.max(1);
                let grid = Grid { batch: 1, height: 1, width: rows, channels: width };
                if width != dense.shape().inputs {
                    candle_core::bail!("{width} values for a layer of {} inputs", dense.shape().inputs);
                }
                let sides = ([1, rows], Border::NONE);
                let operand = with_floats(x, |x| kernels.operand((x, grid), Prepare::Keep, dense.precision(), sides))?;
                let mut y = vec![0.0; rows * dense.shape().outputs];
                kernels.product((&operand, POINT), dense, Product::default(), &mut y);
                Tensor::from_vec(y, (rows, dense.shape().outputs), &Device::Cpu)?
            }
            // One tall product instead of a batch of small ones.
            Kind::Tensors(weight, bias) => {
                ensure_countable(x.elem_count() / width.max(1) * weight.dim(1)?)?;
                let product = x.to_dtype(weight.dtype())?.reshape(((), width))?.matmul(weight)?;
                let sum = bias.as_ref().map_or_else(|| Ok(product.clone()), |bias| product.broadcast_add(bias))?;
                sum.to_dtype(x.dtype())?
            }
        };
        dims.push(y.dim(1)?);
        y.reshape(dims)
    }

    /// A map, ready to be multiplied with these weights.
    ///
    /// # Errors
    /// When the weights are not packed.
    pub(crate) fn operand(&self, x: &Plain, prepare: Prepare<'_>) -> candle_core::Result<Operand> {
        let (kernels, dense) = self.packed()?;
        let sides = ([x.grid.height, x.grid.width], Border::NONE);
        Ok(kernels.operand(x.parts(), prepare, dense.precision(), sides))
    }

    /// The product with every pixel, and a residual.
    ///
    /// # Errors
    /// When the weights are not packed.
    pub(crate) fn product(&self, x: &Operand, add: Option<&Plain>) -> candle_core::Result<Plain> {
        let (kernels, dense) = self.packed()?;
        let mut out = Plain::new(Grid { channels: dense.shape().outputs, ..x.grid() });
        let then = Product { add: add.map(|map| &map.values[..]), ..Product::default() };
        kernels.product((x, POINT), dense, then, &mut out.values);
        Ok(out)
    }

    /// The product of a gated layer, for the next one.
    ///
    /// # Errors
    /// When the weights are not packed.
    pub(crate) fn gate(&self, x: &Operand) -> candle_core::Result<Operand> {
        let (kernels, dense) = self.packed()?;
        Ok(kernels.gated_product(x, dense))
    }

    fn packed(&self) -> candle_core::Result<(Kernels, &Dense)> {
        match &self.kind {
            Kind::Packed(kernels, dense) => Ok((*kernels, dense)),
            Kind::Tensors(..) => candle_core::bail!("the weights of the layer are a tensor"),
        }
    }
}
