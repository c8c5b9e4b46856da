//! Two-dimensional convolution, with what comes before and behind it.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Tensor;
use shanshui_kernels::{
    floats::{Border, Borders, Dense, Doubled, Paired, Prepare, Product, Shape},
    {Kernels, floats},
};

use super::{
    bands::{Band, Cut, line, places},
    ensure_countable,
    map::{Map, Plain, with_floats},
};
use crate::diffusers::weights::Weights;

mod around;

pub use around::Around;

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
            (Kind::Doubled(kernels, doubled), Map::Plain(x)) => Ok(self.doubled(*kernels, doubled, x, around)?.into()),
            (Kind::Tensors(tensors), Map::Tensor(x)) => Ok(Map::Tensor(self.on_device(tensors, x, &around)?)),
            _ => candle_core::bail!("a map of another kind than the layer's weights"),
        }
    }

    /// The same for a map that is not needed any more: where the window is one pixel and the result is no
    /// larger, a large map's memory becomes that of the result.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward_onto(&self, x: Map) -> candle_core::Result<Map> {
        let (Kind::Packed(kernels, dense), Map::Plain(map)) = (&self.kind, &x) else { return self.forward(&x) };
        let cut = Cut { grid: map.grid, window: self.window, line: line(map.grid, dense.precision()) };
        let fits = self.window.kernel == 1 && self.window.stride == 1 && dense.shape().outputs <= map.grid.channels;
        let bands = cut.bands();
        if !fits || bands.len() == 1 {
            return self.forward(&x);
        }
        match x {
            Map::Plain(map) => Ok(match Arc::try_unwrap(map) {
                Ok(map) => onto(*kernels, dense, map, &bands).into(),
                Err(shared) => self.forward(&Map::Plain(shared))?,
            }),
            x @ Map::Tensor(_) => self.forward(&x),
        }
    }

    fn packed(&self, kernels: Kernels, dense: &Dense, x: &Plain, around: Around<'_>) -> candle_core::Result<Plain> {
        let (window, sides) = (self.window, around.sides);
        let steps = floats::Window { kernel: window.kernel, stride: window.stride };
        let pixels = Border { before: window.before, after: window.after };
        let [height, width] = sides.unwrap_or([x.grid.height, x.grid.width]).map(|side| places(side, window));
        let grid = floats::Grid { height, width, channels: dense.shape().outputs, ..x.grid };
        let product = |x: (&[f32], floats::Grid),
                       prepare: Prepare<'_>,
                       (to, lines): ([usize; 2], Border),
                       then: Product<'_>,
                       out: &mut [f32]| {
            let borders = (to, Borders { lines, pixels });
            let operand = kernels.operand(x, prepare, dense.precision(), borders);
            kernels.product((&operand, steps), dense, then, out);
        };
        if let Some(sides) = sides {
            return around.whole(kernels, x, grid, |prepare, then, out| {
                product(x.parts(), prepare, (sides, pixels), then, out);
            });
        }
        let cut = Cut { grid: x.grid, window, line: line(x.grid, dense.precision()) };
        around.in_bands(kernels, (x, cut), (grid, 1), |(source, part), prepare, band, then, out| {
            product((source, part), prepare, ([part.height, part.width], band.border), then, out);
        })
    }

    fn paired(&self, kernels: Kernels, paired: &Paired, x: &Plain, around: Around<'_>) -> candle_core::Result<Plain> {
        if around.sides.is_some() {
            candle_core::bail!("the layer does not enlarge its map");
        }
        let grid = floats::Grid { channels: paired.shape().outputs, ..x.grid };
        // Four sums stand for two pixels.
        let cut = Cut { grid: x.grid, window: self.window, line: 2 * line(x.grid, paired.precision()) };
        around.in_bands(kernels, (x, cut), (grid, 1), |part, prepare, band, then, out| {
            let operand = kernels.pairs(part, prepare, paired.precision(), band.border);
            kernels.paired_product(&operand, paired, then, out);
        })
    }

    fn doubled(
        &self,
        kernels: Kernels,
        doubled: &Doubled,
        x: &Plain,
        around: Around<'_>,
    ) -> candle_core::Result<Plain> {
        let double = [2 * x.grid.height, 2 * x.grid.width];
        if around.sides != Some(double) || around.norm.is_some() || around.add.is_some() {
            candle_core::bail!("the layer doubles its map, without a norm and a residual");
        }
        let grid = floats::Grid { height: double[0], width: double[1], channels: doubled.shape().outputs, ..x.grid };
        let cut = Cut { grid: x.grid, window: self.window, line: line(x.grid, doubled.precision()) };
        let pixels = Border { before: 1, after: 1 };
        around.in_bands(kernels, (x, cut), (grid, 2), |(source, part), prepare, band, then, out| {
            let to = ([part.height, part.width], Borders { lines: band.border, pixels });
            let operand = kernels.operand((source, part), prepare, doubled.precision(), to);
            kernels.doubled_product(&operand, doubled, then.relu, out);
        })
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

/// Each band is read before the result of it is written, which lies no further behind.
fn onto(kernels: Kernels, dense: &Dense, mut map: Plain, bands: &[Band]) -> Plain {
    let grid = floats::Grid { channels: dense.shape().outputs, ..map.grid };
    for band in bands {
        let (source, part) = band.of(map.parts());
        let to = ([part.height, part.width], Border::NONE);
        let operand = kernels.operand((source, part), Prepare::Keep, dense.precision(), to);
        let out = &mut map.values[band.result(1, grid)];
        kernels.product((&operand, floats::Window { kernel: 1, stride: 1 }), dense, Product::default(), out);
    }
    map.values.truncate(grid.len());
    Plain { grid, ..map }
}
