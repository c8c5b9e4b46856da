//! Rows times packed weights, and what is done with the result while it is in the cache.

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

    /// The same for few rows and many outputs, with all threads.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn linear_wide(self, rows: &Quantised, weights: &Packed, out: &mut [f32]) {
        if weights.panels() <= PANELS || rayon::current_num_threads() == 1 {
            return self.linear(rows, weights, Then::Keep, out);
        }
        let (count, outputs) = (rows.rows(), weights.outputs);
        assert_eq!((rows.width, count * outputs), (weights.inputs, out.len()), "sizes of a product");
        let part = |part: usize, out: &mut [f32]| {
            let (first, stride) = (part * PANELS, out.len() / count);
            let panels = stride.div_ceil(COLUMNS);
            dispatch(self.path(), Product { rows, weights, first, panels, then: Then::Keep, out, stride });
        };
        let columns = PANELS * COLUMNS;
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
        let column = (self.first + panel) * COLUMNS;
        let of = |values: &'_ [f32]| *values[column..].first_chunk::<COLUMNS>().unwrap_or(&[0.0; COLUMNS]);
        let (scales, bias) = (of(&self.weights.scales), of(&self.weights.bias));
        let weight_sums = self.weights.sums[column..].first_chunk().unwrap_or(&[0; COLUMNS]);
        for at in 0..T / P {
            let (scale, zero) = (self.rows.scales[row + at], self.rows.zeros[row + at]);
            let mut line = [0f32; COLUMNS];
            match &sums[at * P..(at + 1) * P] {
                [sums] => join(&mut line, [0.0, 1.0], (sums, zero), weight_sums),
                [high, low] => {
                    join(&mut line, [0.0, 256.0], (high, zero >> 8), weight_sums);
                    join(&mut line, [1.0, 1.0], (low, zero & 255), weight_sums);
                }
                _ => {}
            }
            for c in 0..COLUMNS {
                line[c] = I::mul_add(line[c] * scale, scales[c], bias[c]);
            }
            let start = (row + at) * self.stride + panel * COLUMNS;
            let width = COLUMNS.min(self.stride - panel * COLUMNS);
            put::<I>(&line, self.then, &mut self.out[start..start + width]);
        }
    }
}

/// The first factor times what is there, and the second times the sums without their zero point.
#[inline(always)]
fn join(line: &mut [f32; COLUMNS], factors: [f32; 2], (sums, zero): (&[i32; COLUMNS], i32), weights: &[i32; COLUMNS]) {
    for c in 0..COLUMNS {
        line[c] = factors[0] * line[c] + factors[1] * (sums[c] - zero * weights[c]) as f32;
    }
}

#[inline(always)]
fn put<I: Isa>(line: &[f32; COLUMNS], then: Then, out: &mut [f32]) {
    let pairs = out.iter_mut().zip(line);
    match then {
        Then::Keep => pairs.for_each(|(out, value)| *out = *value),
        Then::Add => pairs.for_each(|(out, value)| *out += *value),
        Then::Gelu => pairs.for_each(|(out, value)| *out = gelu_roughly::<I>(*value)),
        Then::GeluAdd => pairs.for_each(|(out, value)| *out += gelu_roughly::<I>(*value)),
    }
}
