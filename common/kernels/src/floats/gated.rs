//! Linear layers of which one half of the outputs gates the other.

use std::ops::Range;

use super::{
    Border, Dense, Element, FloatSums, Grid, LINE, Operand, PANEL, Window,
    operand::Words,
    parts::Part,
    product::{Finishes, Places},
};
use crate::{functions::gelu, isa::Isa, path::Kernels};

impl Kernels {
    /// Multiplies every pixel with weights of [`Dense::pack_gated`]: the result is the first half of the
    /// outputs times the GELU of the second (Shazeer, arXiv:2002.05202).
    ///
    /// # Panics
    /// If the sizes do not fit, or operand and weights differ in precision.
    #[must_use]
    pub fn gated_product(self, operand: &Operand, weights: &Dense) -> Operand {
        assert!(weights.gated, "these weights are for a plain product");
        let places = Places::of(operand, Window { kernel: 1, stride: 1 }, weights);
        let grid = Grid { channels: weights.shape.outputs / 2, ..operand.grid };
        let mut out = Operand::new(operand.precision(), grid, Border::NONE.into());
        match &mut out.words {
            Words::Floats(words) => self.gate(operand, (places, weights), words),
            Words::Halves(words) => self.gate(operand, (places, weights), words),
        }
        out
    }

    fn gate<E: Element>(self, operand: &Operand, (places, weights): (Places, &Dense), out: &mut [E]) {
        let pixel = (weights.shape.outputs / 2).next_multiple_of(E::VALUES);
        places.cut(weights).each(out, (pixel, LINE), |part| {
            self.run(operand, (places, weights), Gate { bias: &weights.bias, part, pixel });
        });
    }
}

/// The first 16 columns of each panel times the GELU of the others.
struct Gate<'a, E> {
    bias: &'a [f32],
    part: Part<'a, E>,
    /// Values from a pixel to the next.
    pixel: usize,
}

impl<E: Element> Finishes for Gate<'_, E> {
    fn part(&self) -> ((usize, usize), Range<usize>) {
        self.part.sizes()
    }

    #[inline(always)]
    fn finish<I: Isa, const R: usize>(
        &mut self,
        isa: I,
        sums: &FloatSums<R>,
        (pixel, panel, _): (usize, usize, usize),
    ) {
        let bias = &self.bias[panel * PANEL..(panel + 1) * PANEL];
        // The columns behind the last are zeros, of which one may fill up a word.
        let width = LINE.min(self.pixel - panel * LINE);
        for (row, sums) in sums.iter().enumerate() {
            let mut line = [0.0; LINE];
            for at in 0..LINE {
                let gate = gelu::<I>(sums[LINE + at] + bias[LINE + at]);
                line[at] = (sums[at] + bias[at]) * gate;
            }
            let line = E::line(isa, &line);
            self.part.at(pixel + row, panel * LINE, LINE)[..width].copy_from_slice(&line[..width]);
        }
    }
}
