//! Two-dimensional convolution, with what comes before and behind it.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Tensor;
use shanshui_kernels::{
    floats::{Affine, Border, Dense, Doubled, Paired, Prepare, Product, Shape},
    {Kernels, floats},
};

use super::{
    ensure_countable,
    map::{Map, Plain, with_floats},
    norm::GroupNorm,
};
use crate::diffusers::weights::Weights;

/// A square window that slides over a zero-padded picture.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side.
    pub kernel: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Zeros above and to the left.
    pub before: usize,
    /// Zeros below and to the right.
    pub after: usize,
}

/// Three by three, of which the result is as large as the picture.
const SAME: Window = Window { kernel: 3, stride: 1, before: 1, after: 1 };

/// Channels from which pairs of pixels are worth their sums: measured, 128 gain nothing.
const PAIRED_FROM: usize = 192;

/// A square convolution with bias.
pub struct Conv {
    kind: Kind,
    window: Window,
}

enum Kind {
    Packed(Kernels, Dense),
    /// By pairs of pixels.
    Paired(Kernels, Paired),
    /// The map is doubled on its way in.
    Doubled(Kernels, Doubled),
    /// (outputs, inputs, kernel, kernel), and (outputs).
    Tensors([Tensor; 2]),
}

/// What is done around a convolution, in this order.
#[derive(Clone, Default)]
pub struct Around<'a> {
    /// Comes first.
    pub norm: Option<&'a GroupNorm>,
    /// Enlarges the map to this height and width.
    pub sides: Option<[usize; 2]>,
    /// (batch, outputs), added to every pixel.
    pub extra: Option<&'a Tensor>,
    /// A residual. One that nobody else holds becomes the result.
    pub add: Option<Map>,
    /// Cuts what is below zero.
    pub relu: bool,
}

impl Conv {
    /// Loads a 3×3 convolution that keeps the size.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with_window(weights, inputs, outputs, SAME)
    }

    /// The same for maps of at least 16 pixels a line. On a CPU it takes fewer products then, if there are
    /// enough channels to make up for their sums; the weights take a third more memory.
    ///
    /// # Errors
    /// As [`Conv::load`].
    pub fn load_wide(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let Some((kernels, precision)) = weights.kernels().filter(|_| inputs >= PAIRED_FROM) else {
            return Self::load(weights, inputs, outputs);
        };
        let shape = Shape { outputs, inputs, kernel: 3 };
        let weight = weights.tensor("weight", &[outputs, inputs, 3, 3])?;
        let bias: Vec<f32> = weights.tensor("bias", &[outputs])?.to_vec1()?;
        let packed = with_floats(&weight, |weight| Paired::pack(precision, shape, weight, &bias))?;
        Ok(Self { kind: Kind::Paired(kernels, packed), window: SAME })
    }

    /// The same where files leave a bias of zero out.
    ///
    /// # Errors
    /// As [`Conv::load`].
    pub fn load_with_or_without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = weights.tensor("weight", &[outputs, inputs, 3, 3])?;
        let bias = match weights.has("bias") {
            true => weights.tensor("bias", &[outputs])?,
            false => Tensor::zeros(outputs, weight.dtype(), weight.device())?,
        };
        Self::of(weights, [weight, bias], SAME)
    }

    /// Loads a convolution of any window.
    ///
    /// # Errors
    /// As [`Conv::load`].
    pub fn with_window(weights: &Weights<'_>, inputs: usize, outputs: usize, window: Window) -> Result<Self> {
        let shape = [outputs, inputs, window.kernel, window.kernel];
        let tensors = [weights.tensor("weight", &shape)?, weights.tensor("bias", &[outputs])?];
        Self::of(weights, tensors, window)
    }

    /// Turns a convolution of a map that is doubled before it into one of the small map, where our kernels
    /// compute: then [`Around::sides`] is the double, and there is no norm and no residual. Without `bias`,
    /// files may leave it out.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load_doubling(weights: &Weights<'_>, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        let Some((kernels, precision)) = weights.kernels() else {
            let load = if bias { Self::load } else { Self::load_with_or_without_bias };
            return load(weights, inputs, outputs);
        };
        let weight = weights.tensor("weight", &[outputs, inputs, 3, 3])?;
        let bias = bias || weights.has("bias");
        let bias = if bias { weights.tensor("bias", &[outputs])?.to_vec1()? } else { Vec::new() };
        let shape = Shape { outputs, inputs, kernel: 3 };
        let packed = with_floats(&weight, |weight| Doubled::pack(precision, shape, weight, &bias))?;
        Ok(Self { kind: Kind::Doubled(kernels, packed), window: SAME })
    }

    fn of(weights: &Weights<'_>, tensors: [Tensor; 2], window: Window) -> Result<Self> {
        let Some((kernels, precision)) = weights.kernels() else {
            return Ok(Self { kind: Kind::Tensors(tensors), window });
        };
        let (outputs, inputs, kernel, _) = tensors[0].dims4()?;
        let shape = Shape { outputs, inputs, kernel };
        let pack = |weight: &[f32]| with_floats(&tensors[1], |bias| Dense::pack(precision, shape, weight, bias));
        Ok(Self { kind: Kind::Packed(kernels, with_floats(&tensors[0], pack)??), window })
    }

    /// A tensor (batch, inputs, height, width) as this layer takes it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn take(&self, x: &Tensor) -> candle_core::Result<Map> {
        Map::of(x, !matches!(self.kind, Kind::Tensors(..)))
    }

    /// Maps (batch, inputs, height, width) to (batch, outputs, …) of the same type.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Map) -> candle_core::Result<Map> {
        self.forward_with(x, Around::default())
    }

    /// The same with what is around it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward_with(&self, x: &Map, around: Around<'_>) -> candle_core::Result<Map> {
        match (&self.kind, x) {
            (Kind::Packed(kernels, dense), Map::Plain(x)) => Ok(self.packed(*kernels, dense, x, around)?.into()),
            (Kind::Paired(kernels, paired), Map::Plain(x)) => Ok(self.paired(*kernels, paired, x, around)?.into()),
            (Kind::Doubled(kernels, doubled), Map::Plain(x)) => {
                let double = Some([2 * x.grid.height, 2 * x.grid.width]);
                if around.sides != double || around.norm.is_some() || around.add.is_some() {
                    candle_core::bail!("the layer doubles its map, without a norm and a residual");
                }
                Ok(double_plain(*kernels, doubled, x, around.relu).into())
            }
            (Kind::Tensors(tensors), Map::Tensor(x)) => Ok(Map::Tensor(self.on_device(tensors, x, &around)?)),
            _ => candle_core::bail!("a map of another kind than the layer's weights"),
        }
    }

    fn packed(&self, kernels: Kernels, dense: &Dense, x: &Plain, around: Around<'_>) -> candle_core::Result<Plain> {
        let Window { kernel, stride, before, after } = self.window;
        let affine = around.norm.map(|norm| norm.affine(kernels, x));
        let to = around.sides.unwrap_or([x.grid.height, x.grid.width]);
        let sides = (to, Border { before, after });
        let operand = kernels.operand(x.parts(), around.prepare(affine.as_ref()), dense.precision(), sides);
        let places = |side: usize| (side + before + after).saturating_sub(kernel) / stride + 1;
        let [height, width] = to.map(places);
        let grid = floats::Grid { height, width, channels: dense.shape().outputs, ..x.grid };
        let window = floats::Window { kernel, stride };
        around.product(grid, |then, out| kernels.product((&operand, window), dense, then, out))
    }

    fn paired(&self, kernels: Kernels, paired: &Paired, x: &Plain, around: Around<'_>) -> candle_core::Result<Plain> {
        if around.sides.is_some() {
            candle_core::bail!("the layer does not enlarge its map");
        }
        let affine = around.norm.map(|norm| norm.affine(kernels, x));
        let operand = kernels.pairs(x.parts(), around.prepare(affine.as_ref()), paired.precision());
        let grid = floats::Grid { channels: paired.shape().outputs, ..x.grid };
        around.product(grid, |then, out| kernels.paired_product(&operand, paired, then, out))
    }

    fn on_device(&self, [weight, bias]: &[Tensor; 2], x: &Tensor, around: &Around<'_>) -> candle_core::Result<Tensor> {
        let Window { stride, before, after, .. } = self.window;
        let (mut x, dtype) = (x.clone(), x.dtype());
        if let Some(norm) = around.norm {
            x = norm.forward(&x)?;
        }
        if let Some([height, width]) = around.sides {
            x = x.upsample_nearest2d(height, width)?;
        }
        let x = x.to_dtype(weight.dtype())?.contiguous()?;
        ensure_countable(x.elem_count())?;
        let y = if before == after {
            x.conv2d(weight, before, stride, 1, 1)?
        } else {
            let padded = x.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
            padded.conv2d(weight, 0, stride, 1, 1)?
        };
        ensure_countable(y.elem_count())?;
        let bias = match around.extra {
            Some(extra) => extra.to_dtype(bias.dtype())?.broadcast_add(bias)?,
            None => bias.clone(),
        };
        let (rows, outputs) = (bias.elem_count() / y.dim(1)?, y.dim(1)?);
        let mut y = y.broadcast_add(&bias.reshape((rows, outputs, 1, 1))?)?.to_dtype(dtype)?;
        if let Some(Map::Tensor(residual)) = &around.add {
            y = (residual + y)?;
        }
        if around.relu { y.relu() } else { Ok(y) }
    }
}

impl Around<'_> {
    /// What is done to a map on its way in.
    fn prepare<'a>(&self, affine: Option<&'a Affine>) -> Prepare<'a> {
        match affine {
            Some(affine) if self.norm.is_some_and(GroupNorm::silu) => Prepare::AffineSilu(affine),
            Some(affine) => Prepare::Affine(affine),
            None => Prepare::Keep,
        }
    }

    /// Calls a product with what is done behind it, and with the place for its result.
    fn product(self, grid: floats::Grid, run: impl FnOnce(Product<'_>, &mut [f32])) -> candle_core::Result<Plain> {
        let residual = match self.add {
            Some(Map::Plain(map)) => Some(Arc::try_unwrap(map)),
            _ => None,
        };
        let (mut out, shared, onto) = match residual {
            Some(Ok(map)) if map.grid == grid => (map, None, true),
            Some(Ok(map)) => candle_core::bail!("a residual of {:?} for {grid:?}", map.grid),
            Some(Err(shared)) => (Plain::new(grid), Some(shared), false),
            None => (Plain::new(grid), None, false),
        };
        let add = shared.as_ref().map(|map| &map.values[..]);
        let then = Product { extra: None, add, onto, relu: self.relu };
        match self.extra {
            Some(extra) => with_floats(extra, |extra| run(Product { extra: Some(extra), ..then }, &mut out.values))?,
            None => run(then, &mut out.values),
        }
        Ok(out)
    }
}

fn double_plain(kernels: Kernels, doubled: &Doubled, x: &Plain, relu: bool) -> Plain {
    let (grid, border) = (x.grid, Border { before: 1, after: 1 });
    let sides = ([grid.height, grid.width], border);
    let operand = kernels.operand(x.parts(), Prepare::Keep, doubled.precision(), sides);
    let (height, width, channels) = (2 * grid.height, 2 * grid.width, doubled.shape().outputs);
    let mut out = Plain::new(floats::Grid { height, width, channels, ..grid });
    kernels.doubled_product(&operand, doubled, relu, &mut out.values);
    out
}
