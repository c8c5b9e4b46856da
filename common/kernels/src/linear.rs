//! Rows times packed weights, and what is done with the result while it is in the cache.

use rayon::prelude::*;

use crate::{
    functions::gelu,
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

    /// The same for a single row and many outputs, with all threads.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn linear_wide(self, row: &Quantised, weights: &Packed, out: &mut [f32]) {
        if weights.panels() <= PANELS || rayon::current_num_threads() == 1 {
            return self.linear(row, weights, Then::Keep, out);
        }
        let sizes = (row.width, 1, weights.outputs);
        assert_eq!(sizes, (weights.inputs, row.rows(), out.len()), "sizes of a product");
        out.par_chunks_mut(PANELS * COLUMNS).enumerate().for_each(|(part, out)| {
            let (first, stride, panels) = (part * PANELS, out.len(), out.len().div_ceil(COLUMNS));
            dispatch(self.path(), Product { rows: row, weights, first, panels, then: Then::Keep, out, stride });
        });
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
        // A panel stays in the nearest cache while all rows pass by.
        for panel in 0..self.panels {
            let mut row = 0;
            while row < rows {
                row += match rows - row {
                    1 => self.block::<I, 1>(isa, panel, row),
                    2 | 3 => self.block::<I, 2>(isa, panel, row),
                    4 | 5 => self.block::<I, 4>(isa, panel, row),
                    _ => self.block::<I, 6>(isa, panel, row),
                };
            }
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(&mut self, isa: I, panel: usize, row: usize) -> usize {
        let stride = self.rows.stride;
        let sums = isa.tile::<R>(&self.rows.values[row * stride..], stride, self.weights.panel(self.first + panel));
        self.finish::<I, R>(&sums, panel, row);
        R
    }

    #[inline(always)]
    fn finish<I: Isa, const R: usize>(&mut self, sums: &Sums<R>, panel: usize, row: usize) {
        let column = (self.first + panel) * COLUMNS;
        let of = |values: &'_ [f32]| *values[column..].first_chunk::<COLUMNS>().unwrap_or(&[0.0; COLUMNS]);
        let (scales, bias) = (of(&self.weights.scales), of(&self.weights.bias));
        let weight_sums = self.weights.sums[column..].first_chunk().unwrap_or(&[0; COLUMNS]);
        for (at, sums) in sums.iter().enumerate() {
            let (scale, zero) = (self.rows.scales[row + at], self.rows.zeros[row + at]);
            let mut line = [0f32; COLUMNS];
            for c in 0..COLUMNS {
                let sum = (sums[c] - zero * weight_sums[c]) as f32;
                line[c] = I::mul_add(sum * scale, scales[c], bias[c]);
            }
            let start = (row + at) * self.stride + panel * COLUMNS;
            let width = COLUMNS.min(self.stride - panel * COLUMNS);
            put::<I>(&line, self.then, &mut self.out[start..start + width]);
        }
    }
}

#[inline(always)]
fn put<I: Isa>(line: &[f32; COLUMNS], then: Then, out: &mut [f32]) {
    let pairs = out.iter_mut().zip(line);
    match then {
        Then::Keep => pairs.for_each(|(out, value)| *out = *value),
        Then::Add => pairs.for_each(|(out, value)| *out += *value),
        Then::Gelu => pairs.for_each(|(out, value)| *out = gelu::<I>(*value)),
        Then::GeluAdd => pairs.for_each(|(out, value)| *out += gelu::<I>(*value)),
    }
}
