//! A convolution of a map that was doubled in size, without doubling it.
//!
//! Of the 3×3 pixels that a window sees of the doubled map, some are copies of one pixel. So each of the
//! four pixels that come of one is a window of 2×2 over the small map, with sums of weights: 16 products
//! in place of 36.

use std::ops::Range;

use super::{
    Border, Dense, Element, FloatSums, Grid, Operand, PANEL, Precision, Shape,
    operand::Words,
    parts::{Cut, Part},
    product::{Block, Finishes, Places},
};
use crate::{
    functions::larger,
    isa::{Isa, dispatch},
    path::Kernels,
};

/// Packed weights for the four pixels that come of one.
#[derive(Debug)]
pub struct Doubled {
    parts: [Dense; 4],
}

/// Below and to the right of a pixel.
const PARITIES: [[usize; 2]; 4] = [[0, 0], [0, 1], [1, 0], [1, 1]];

impl Doubled {
    /// Packs the weights of a 3×3 convolution.
    ///
    /// # Panics
    /// If the sizes do not fit, or the window is another.
    #[must_use]
    pub fn pack(precision: Precision, shape: Shape, weights: &[f32], bias: &[f32]) -> Self {
        assert_eq!(shape.kernel, 3, "the window of a doubled map");
        let small = Shape { kernel: 2, ..shape };
        let parts = PARITIES.map(|parity| {
            let sums: Vec<f32> = weights.as_chunks::<9>().0.iter().flat_map(|window| sums(window, parity)).collect();
            Dense::pack(precision, small, &sums, bias)
        });
        Self { parts }
    }

    /// Sizes of the weights that it was packed from.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { kernel: 3, ..self.parts[0].shape }
    }

    /// What it was rounded to.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.parts[0].precision
    }
}

/// What a pixel of the small map counts for one of the four pixels.
fn sums(window: &[f32; 9], [down, right]: [usize; 2]) -> [f32; 4] {
    // The upper pixel of two sees one line above its own and two copies of its own; the lower one two
    // copies of its own and one line below.
    let which = |parity: usize, tap: usize| usize::from(tap > parity);
    let mut out = [0.0; 4];
    for (tap, weight) in window.iter().enumerate() {
        out[2 * which(down, tap / 3) + which(right, tap % 3)] += weight;
    }
    out
}

impl Kernels {
    /// Doubles the operand, which has a pixel of border or neighbours on each side, and multiplies every window
    /// with the weights; with `relu`, what is below zero becomes zero.
    ///
    /// # Panics
    /// If the sizes do not fit, or operand and weights differ in precision.
    pub fn doubled_product(self, operand: &Operand, weights: &Doubled, relu: bool, out: &mut [f32]) {
        let (grid, outputs, lines) = (operand.grid, weights.shape().outputs, operand.borders.lines);
        assert_eq!(operand.borders.pixels, Border { before: 1, after: 1 }, "border of a map that is doubled");
        // A line of neighbours is seen, but not doubled.
        let height = (grid.height + lines.both()).checked_sub(2);
        let pixels = height.map(|height| Grid { height, ..grid }.pixels());
        assert_eq!(Some(out.len()), pixels.map(|pixels| 4 * pixels * outputs), "values of a result");
        let [dense, ..] = &weights.parts;
        let products = PANEL * dense.shape.words(operand.precision());
        let cut = Cut::of(out.len() / outputs.max(1) / 4, grid.width, (dense.panels(), products));
        Cut { pixels: 4 * cut.pixels, ..cut }.each(out, (outputs, PANEL), |mut part| {
            for (dense, parity) in weights.parts.iter().zip(PARITIES) {
                let places = Places::doubled(operand, dense, parity);
                let bias = &dense.bias;
                let finish = Scatter { bias, part: &mut part, outputs, width: grid.width, parity, relu };
                match &operand.words {
                    Words::Floats(words) => run(self, words, (places, dense), finish),
                    Words::Halves(words) => run(self, words, (places, dense), finish),
                }
            }
        });
    }
}

fn run<E: Element>(kernels: Kernels, values: &[E], (places, weights): (Places, &Dense), finish: Scatter<'_, '_>) {
    dispatch(kernels.path(), Block { values, places, weights, finish });
}

/// Bias, and every second pixel of every second line.
struct Scatter<'a, 'b> {
    bias: &'a [f32],
    part: &'a mut Part<'b, f32>,
    outputs: usize,
    /// Of the small map.
    width: usize,
    parity: [usize; 2],
    relu: bool,
}

impl Finishes for Scatter<'_, '_> {
    fn part(&self) -> ((usize, usize), Range<usize>) {
        let ((first, count), panels) = self.part.sizes();
        ((first / 4, count / 4), panels)
    }

    #[inline(always)]
    fn finish<I: Isa, const R: usize>(
        &mut self,
        _: I,
        sums: &FloatSums<R>,
        (pixel, panel, columns): (usize, usize, usize),
    ) {
        let column = panel * PANEL;
        let width = columns.min(self.outputs - column);
        let bias = &self.bias[column..column + PANEL];
        for (row, sums) in sums.iter().enumerate() {
            let from = pixel + row;
            let (y, x) = (2 * (from / self.width) + self.parity[0], 2 * (from % self.width) + self.parity[1]);
            let out = &mut self.part.at(y * 2 * self.width + x, column, PANEL)[..width];
            for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                *out = sum + bias;
            }
            if self.relu {
                out.iter_mut().for_each(|value| *value = larger(*value, 0.0));
            }
        }
    }
}
