//! Linear layers of which one half of the outputs gates the other.

use super::{
    Border, Dense, Element, FloatSums, Grid, LINE, Operand, PANEL, Window,
    operand::Words,
    product::{Finishes, Places, each_block},
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
        let (block, outputs) = (places.block(weights), weights.shape.outputs / 2);
        let pixel = outputs.next_multiple_of(E::VALUES);
        let work = |(part, out): (usize, &mut [E])| {
            let first = part * block;
            self.run(operand, (places, weights), Gate { bias: &weights.bias, out, pixel, first });
        };
        each_block(out, block * pixel, work);
    }
}

/// The first 16 columns of each panel times the GELU of the others.
struct Gate<'a, E> {
    bias: &'a [f32],
    out: &'a mut [E],
    /// Values from a pixel to the next.
    pixel: usize,
    first: usize,
}

impl<E: Element> Finishes for Gate<'_, E> {
    fn pixels(&self) -> (usize, usize) {
        (self.first, self.out.len() / self.pixel)
    }

    #[inline(always)]
    fn finish<I: Isa, const R: usize>(&mut self, sums: &FloatSums<R>, pixel: usize, (panel, _): (usize, usize)) {
        let bias = &self.bias[panel * PANEL..(panel + 1) * PANEL];
        // The columns behind the last are zeros, of which one may fill up a word.
        let width = LINE.min(self.pixel - panel * LINE);
        for (row, sums) in sums.iter().enumerate() {
            let mut line = [E::default(); LINE];
            for at in 0..LINE {
                let gate = gelu::<I>(sums[LINE + at] + bias[LINE + at]);
                line[at] = E::of((sums[at] + bias[at]) * gate);
            }
            let place = (pixel - self.first + row) * self.pixel + panel * LINE;
            self.out[place..place + width].copy_from_slice(&line[..width]);
        }
    }
}
