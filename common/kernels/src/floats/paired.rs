//! 3×3 convolutions by pairs of pixels: twelve products in place of eighteen (Winograd's F(2,3), along
//! the lines; Lavin and Gray, arXiv:1509.09308).
//!
//! Two neighbours of the result see four pixels of a line. Sums and differences of these meet sums of
//! the weights, in four products, and sums of the products are the two results.

use super::{
    Dense, Element, FOUR, Grid, LINE, PANEL, Pairs, Precision, Product, Shape, TILE_ROWS, Windows, dense::width, even,
    operand::Words, pairs::PLANES, parts::Cut, product::Finish,
};
use crate::{
    isa::{Isa, Work, dispatch},
    path::Kernels,
};

/// Packed weights of a convolution that keeps the size of its map.
#[derive(Debug)]
pub struct Paired {
    shape: Shape,
    planes: [Dense; PLANES],
    bias: Vec<f32>,
}

impl Paired {
    /// Packs the weights of a 3×3 convolution.
    ///
    /// # Panics
    /// If the sizes do not fit, or the window is another.
    #[must_use]
    pub fn pack(precision: Precision, shape: Shape, weights: &[f32], bias: &[f32]) -> Self {
        assert_eq!(shape.kernel, 3, "the window of a convolution by pairs");
        let Shape { outputs, inputs, .. } = shape;
        // The three lines of a window, one behind the other.
        let pixel = width(inputs, precision);
        let lines = Shape { outputs, inputs: 3 * pixel, kernel: 1 };
        let plane = |plane: usize| {
            let mut sums = vec![0.0; outputs * lines.inputs];
            for (sums, weights) in sums.chunks_exact_mut(lines.inputs).zip(weights.chunks_exact(9 * inputs)) {
                for (input, window) in weights.as_chunks::<9>().0.iter().enumerate() {
                    for (line, taps) in window.as_chunks::<3>().0.iter().enumerate() {
                        sums[line * pixel + input] = of_weights(*taps)[plane];
                    }
                }
            }
            Dense::pack(precision, lines, &sums, &[])
        };
        let planes = [0, 1, 2, 3].map(plane);
        let mut padded = vec![0.0; outputs.next_multiple_of(PANEL)];
        padded[..bias.len()].copy_from_slice(bias);
        Self { shape, planes, bias: padded }
    }

    /// Sizes of the weights that it was packed from.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What it was rounded to.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.planes[0].precision
    }
}

fn of_weights([a, b, c]: [f32; 3]) -> [f32; PLANES] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

#[inline(always)]
fn of_products([a, b, c, d]: [f32; PLANES]) -> [f32; 2] {
    [a + b + c, b - c - d]
}

impl Kernels {
    /// Multiplies every window with the weights: `out` gets the result, channels last.
    ///
    /// # Panics
    /// If the sizes do not fit, or operand and weights differ in precision.
    pub fn paired_product(self, operand: &Pairs, weights: &Paired, then: Product<'_>, out: &mut [f32]) {
        let (grid, outputs) = (operand.grid, weights.shape.outputs);
        assert_eq!(weights.shape.inputs, grid.channels, "sizes of a product");
        let to = Grid { channels: outputs, ..grid };
        then.assert_fits(to, out.len());
        let [plane, ..] = &weights.planes;
        let products = PANEL * plane.shape.words(plane.precision);
        let cut = Cut::of(to.pixels(), grid.width, (plane.panels(), products));
        cut.each(out, (outputs, PANEL), |part| {
            let finish = Finish { then, bias: &weights.bias, area: grid.height * grid.width, part, outputs };
            match &operand.words {
                Words::Floats(values) => dispatch(self.path(), PairBlock { values, grid, weights, finish }),
                Words::Halves(values) => dispatch(self.path(), PairBlock { values, grid, weights, finish }),
            }
        });
    }
}

/// Some lines of a product.
struct PairBlock<'a, E> {
    values: &'a [E],
    grid: Grid,
    weights: &'a Paired,
    finish: Finish<'a>,
}

impl<E: Element> Work for PairBlock<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let (width, pairs) = (self.grid.width, self.grid.width.div_ceil(2));
        let ((first, pixels), panels) = self.finish.part.sizes();
        let end = (first + pixels) / width * pairs;
        for panel in panels {
            let mut pair = first / width * pairs;
            while pair < end {
                let (starts, left) = self.from::<I>(pair, end - pair);
                let place = (panel, pair, starts);
                pair += match left {
                    1 => self.tile::<I, 1>(isa, place),
                    2 | 3 => self.tile::<I, 2>(isa, place),
                    4 | 5 => self.tile::<I, 4>(isa, place),
                    6 | 7 => self.tile::<I, 6>(isa, place),
                    16.. if I::MANY => self.tile::<I, 16>(isa, place),
                    8..=11 | 16 => self.tile::<I, 8>(isa, place),
                    _ => self.tile::<I, 12>(isa, place),
                };
            }
        }
    }
}

impl<E: Element> PairBlock<'_, E> {
    /// Values of a pixel and from a line of a plane to the next plane, and pairs of a line.
    #[inline(always)]
    fn sizes(&self) -> (usize, usize, usize) {
        let (pixel, pairs) = (self.grid.channels.next_multiple_of(E::VALUES), self.grid.width.div_ceil(2));
        (pixel, pairs * pixel, pairs)
    }

    /// Where a pair of all lines begins in the first plane.
    #[inline(always)]
    fn at(&self, pair: usize) -> usize {
        let ((pixel, plane, pairs), height) = (self.sizes(), self.grid.height);
        let (line, pair) = (pair / pairs, pair % pairs);
        // Two lines of the border for each picture.
        (line + line / height * 2) * PLANES * plane + pair * pixel
    }

    /// As `Places::from`, for pairs.
    #[inline(always)]
    fn from<I: Isa>(&self, pair: usize, count: usize) -> ([usize; TILE_ROWS / FOUR], usize) {
        let (pixel, _, pairs) = self.sizes();
        let left = pairs - pair % pairs;
        if !I::MANY && left < count && pairs.is_multiple_of(FOUR) {
            let four = |four: usize| pair + FOUR * four.min((count - 1) / FOUR);
            return (std::array::from_fn(|at| self.at(four(at))), count);
        }
        (even(self.at(pair), pixel), left.min(count))
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize>(
        &mut self,
        isa: I,
        (panel, pair, starts): (usize, usize, [usize; TILE_ROWS / FOUR]),
    ) -> usize {
        let (pixel, plane, pairs) = self.sizes();
        let (words, pitch) = (pixel / E::VALUES, PLANES * plane);
        let windows = Windows { values: self.values, starts, stride: pixel, segments: 3, pitch, words };
        let mut products = [[[0.0; PANEL]; R]; PLANES];
        let mut columns = PANEL;
        for (at, (products, dense)) in products.iter_mut().zip(&self.weights.planes).enumerate() {
            let windows = windows.further(at * plane);
            let lines = dense.panel(panel);
            columns = lines.len() / (3 * words) * LINE;
            if columns == PANEL {
                E::tile::<I, R, 2>(isa, windows, lines.as_chunks().0, products);
            } else {
                E::tile::<I, R, 1>(isa, windows, lines.as_chunks().0, products);
            }
        }
        for row in 0..R {
            let pair = pair + row;
            let sums = products.each_ref().map(|products| &products[row]);
            self.join(sums, (panel, columns), (pair / pairs, pair % pairs));
        }
        R
    }

    #[inline(always)]
    fn join(&mut self, [a, b, c, d]: [&[f32; PANEL]; PLANES], panel: (usize, usize), (line, pair): (usize, usize)) {
        let width = self.grid.width;
        let mut two = [[0.0; PANEL]; 2];
        for at in 0..PANEL {
            [two[0][at], two[1][at]] = of_products([a[at], b[at], c[at], d[at]]);
        }
        for (sums, x) in two.iter().zip(2 * pair..width) {
            self.finish.row(sums, line * width + x, panel);
        }
    }
}
