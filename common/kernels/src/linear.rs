//! Rows times packed weights, and what is done with the result while it is in the cache.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    functions::gelu_roughly,
    isa::{COLUMNS, Isa, Sums, Work, dispatch},
    packed::Packed,
    path::Kernels,
    quantised::Quantised,
};

/// What becomes of a product and its bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is the result.
    Keep,
    /// It is added to what is there: a residual.
    Add,
    /// Its GELU is the result.
    Gelu,
    /// Its GELU is added to what is there.
    GeluAdd,
}

/// Panels that a thread takes at once of a product of one row: below, a second thread costs more than
/// it brings.
const PANELS: usize = 64;

impl Kernels {
    /// Multiplies all rows with the weights: `out` gets (rows, outputs).
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn linear(self, rows: &Quantised, weights: &Packed, then: Then, out: &mut [f32]) {
        assert_eq!((rows.width, rows.rows() * weights.outputs), (weights.inputs, out.len()), "sizes of a product");
        let stride = weights.outputs;
        dispatch(self.path(), Product { rows, weights, first: 0, panels: weights.panels(), then, out, stride });
    }

    /// The same for few rows and some of many outputs, with all threads. [`Packed::around`] tells which outputs it
    /// can begin and end with.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn linear_wide(self, rows: &Quantised, weights: &Packed, which: Range<usize>, out: &mut [f32]) {
        let (count, outputs) = (rows.rows(), which.len());
        assert_eq!((rows.width, count * outputs), (weights.inputs, out.len()), "sizes of a product");
        assert_eq!(which, weights.around(which.clone()), "outputs of a product");
        let part = |part: usize, out: &mut [f32]| {
            let (first, stride) = (which.start / COLUMNS + part * PANELS, out.len() / count);
            let panels = stride.div_ceil(COLUMNS);
            dispatch(self.path(), Product { rows, weights, first, panels, then: Then::Keep, out, stride });
        };
        let columns = PANELS * COLUMNS;
        if count == 0 {
            return;
        }
        if outputs <= columns || rayon::current_num_threads() == 1 {
            return part(0, out);
        }
        if count == 1 {
            return out.par_chunks_mut(columns).enumerate().for_each(|(at, out)| part(at, out));
        }
        let parts: Vec<Vec<f32>> = (0..outputs.div_ceil(columns))
            .into_par_iter()
            .map(|at| {
                let mut out = vec![0.0; count * columns.min(outputs - at * columns)];
                part(at, &mut out);
                out
            })
            .collect();
        for (at, part) in parts.iter().enumerate() {
            let width = part.len() / count;
            for (out, values) in out.chunks_mut(outputs).zip(part.chunks(width)) {
                out[at * columns..][..width].copy_from_slice(values);
            }
        }
    }
}

/// Some panels of a product; `out` begins with the first of them.
struct Product<'a> {
    rows: &'a Quantised,
    weights: &'a Packed,
    first: usize,
    panels: usize,
    then: Then,
    out: &'a mut [f32],
    stride: usize,
}

impl Work for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let rows = self.rows.rows();
        let (_, planes) = self.rows.layout::<I>();
        // A panel stays in the nearest cache while all rows pass by.
        for panel in 0..self.panels {
            let mut row = 0;
            while row < rows {
                row += match (planes, rows - row) {
                    (1, 1) => self.block::<I, 1, 1>(isa, panel, row),
                    (1, 2 | 3) => self.block::<I, 1, 2>(isa, panel, row),
                    (1, 4 | 5) => self.block::<I, 1, 4>(isa, panel, row),
                    (1, 16..) if I::MANY => self.block::<I, 1, 16>(isa, panel, row),
                    (1, _) => self.block::<I, 1, 6>(isa, panel, row),
                    (_, 1) => self.block::<I, 2, 2>(isa, panel, row),
                    (_, 2) => self.block::<I, 2, 4>(isa, panel, row),
                    (_, 8..) if I::MANY => self.block::<I, 2, 16>(isa, panel, row),
                    _ => self.block::<I, 2, 6>(isa, panel, row),
                };
            }
        }
    }
}

impl Product<'_> {
    /// The planes of a row lie one behind the other: to a tile of T, each of the P is a row.
    #[inline(always)]
    fn block<I: Isa, const P: usize, const T: usize>(&mut self, isa: I, panel: usize, row: usize) -> usize {
        let (size, _) = self.rows.layout::<I>();
        let sums = isa.tile::<T>(&self.rows.values[row * P * size..], size, self.weights.panel(self.first + panel));
        self.finish::<I, P, T>(&sums, panel, row);
        T / P
    }

    /// Takes the zero points off, puts the planes together and does what follows.
    #[inline(always)]
    fn finish<I: Isa, const P: usize, const T: usize>(&mut self, sums: &Sums<T>, panel: usize, row: usize) {
        match self.then {
            Then::Keep => self.put::<I, P, T>(sums, panel, row, |_, value| value),
            Then::Add => self.put::<I, P, T>(sums, panel, row, |out, value| out + value),
            Then::Gelu => self.put::<I, P, T>(sums, panel, row, |_, value| gelu_roughly::<I>(value)),
            Then::GeluAdd => self.put::<I, P, T>(sums, panel, row, |out, value| out + gelu_roughly::<I>(value)),
        }
    }

    /// All of a panel's columns at once stay in registers; with as many as there are, they would go through memory.
    #[inline(always)]
    fn put<I: Isa, const P: usize, const T: usize>(
        &mut self,
        sums: &Sums<T>,
        panel: usize,
        row: usize,
        then: impl Fn(f32, f32) -> f32,
    ) {
        let columns = Columns::of(self.weights, (self.first + panel) * COLUMNS);
        let width = COLUMNS.min(self.stride - panel * COLUMNS);
        for at in 0..T / P {
            let (scale, zero) = (self.rows.scales[row + at], self.rows.zeros[row + at]);
            let start = (row + at) * self.stride + panel * COLUMNS;
            let out = &mut self.out[start..start + width];
            let mut spare = [0f32; COLUMNS];
            let whole = out.len() == COLUMNS;
            if !whole {
                spare[..width].copy_from_slice(out);
            }
            let line = if whole { out.first_chunk_mut().unwrap_or(&mut spare) } else { &mut spare };
            columns.put::<I>(&sums[at * P..(at + 1) * P], (scale, zero), line, &then);
            if !whole {
                out.copy_from_slice(&spare[..width]);
            }
        }
    }
}

/// What belongs to the columns of a panel.
struct Columns<'a> {
    scales: &'a [f32; COLUMNS],
    sums: &'a [i32; COLUMNS],
    bias: &'a [f32; COLUMNS],
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn of(weights: &'a Packed, first: usize) -> Self {
        Self {
            scales: weights.scales[first..].first_chunk().unwrap_or(&[0.0; COLUMNS]),
            sums: weights.sums[first..].first_chunk().unwrap_or(&[0; COLUMNS]),
            bias: weights.bias[first..].first_chunk().unwrap_or(&[0.0; COLUMNS]),
        }
    }

    /// Of one row, whose sums are in one plane or two.
    #[inline(always)]
    fn put<I: Isa>(
        &self,
        planes: &[[i32; COLUMNS]],
        (scale, zero): (f32, i32),
        out: &mut [f32; COLUMNS],
        then: impl Fn(f32, f32) -> f32,
    ) {
        let value = |c: usize, sum: f32, out: f32| then(out, I::mul_add(sum * scale, self.scales[c], self.bias[c]));
        match planes {
            [sums] => {
                for c in 0..COLUMNS {
                    let sum = sums[c] - zero * self.sums[c];
                    out[c] = value(c, sum as f32, out[c]);
                }
            }
            [high, low] => {
                let zeros = [zero >> 8, zero & 255];
                for c in 0..COLUMNS {
                    let [high, low] =
                        [(high, zeros[0]), (low, zeros[1])].map(|(sums, zero)| (sums[c] - zero * self.sums[c]) as f32);
                    out[c] = value(c, 256.0 * high + low, out[c]);
                }
            }
            _ => {}
        }
    }
}
