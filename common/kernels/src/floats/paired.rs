//! 3×3 convolutions by pairs of pixels: twelve products in place of eighteen (Winograd's F(2,3), along
//! the lines; Lavin and Gray, arXiv:1509.09308).
//!
//! Two neighbours of the result see four pixels of a line. Sums and differences of these meet sums of
//! the weights, in four products, and sums of the products are the two results.

use rayon::prelude::*;

use super::{
    Border, Borders, Buffer, Dense, Element, FloatSums, Grid, LINE, PANEL, Precision, Prepare, Product, Shape, Windows,
    dense::width,
    operand::{Lines, Words},
    product::{BLOCK, Finish},
};
use crate::{
    isa::{Isa, Work, dispatch},
    path::Kernels,
};

/// Products of a pair.
const PLANES: usize = 4;

/// Packed weights of a convolution that keeps the size of its map.
#[derive(Debug)]
pub struct Paired {
    shape: Shape,
    planes: [Dense; PLANES],
    bias: Vec<f32>,
}

/// A map with its border of one pixel, as sums and differences of neighbours.
#[derive(Debug)]
pub struct Pairs {
    /// Sizes of the result, with the channels of the map.
    grid: Grid,
    words: Words,
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
fn of_pixels([a, b, c, d]: [f32; 4]) -> [f32; PLANES] {
    [a - c, b + c, c - b, b - d]
}

#[inline(always)]
fn of_products([a, b, c, d]: [f32; PLANES]) -> [f32; 2] {
    [a + b + c, b - c - d]
}

impl Kernels {
    /// Prepares a map for [`Kernels::paired_product`]. Where a map goes on, its part has no border above or below.
    ///
    /// # Panics
    /// If the source, or what prepares it, has other sizes than the grid says.
    #[must_use]
    pub fn pairs(
        self,
        (source, grid): (&[f32], Grid),
        prepare: Prepare<'_>,
        precision: Precision,
        border: Border,
    ) -> Pairs {
        assert_eq!(source.len(), grid.len(), "values of a map");
        let line = PLANES * grid.width.div_ceil(2) * width(grid.channels, precision);
        let high = grid.height + border.both();
        let values = grid.batch * high * line;
        let borders = Borders { lines: border, pixels: Border { before: 1, after: 1 } };
        let lines = Lines { source, grid, to: grid, borders, prepare };
        let mut words = match precision {
            Precision::F32 => Words::Floats(Buffer::new(values)),
            Precision::Bf16 => Words::Halves(Buffer::new(values)),
        };
        match &mut words {
            Words::Floats(words) => fill(self, lines, words, line),
            Words::Halves(words) => fill(self, lines, words, line),
        }
        Pairs { grid: Grid { height: high.saturating_sub(2), ..grid }, words }
    }

    /// Multiplies every window with the weights: `out` gets the result, channels last.
    ///
    /// # Panics
    /// If the sizes do not fit, or operand and weights differ in precision.
    pub fn paired_product(self, operand: &Pairs, weights: &Paired, then: Product<'_>, out: &mut [f32]) {
        let (grid, outputs) = (operand.grid, weights.shape.outputs);
        assert_eq!(weights.shape.inputs, grid.channels, "sizes of a product");
        let to = Grid { channels: outputs, ..grid };
        then.assert_fits(to, out.len());
        // Lines for a thread: few enough for all threads to have some.
        let lines = grid.batch * grid.height;
        let threads = rayon::current_num_threads();
        let most = if threads == 1 { lines } else { lines.div_ceil(2 * threads) };
        let block = (BLOCK / grid.width.max(1)).clamp(1, most.max(1));
        out.par_chunks_mut((block * grid.width * outputs).max(1)).enumerate().for_each(|(part, out)| {
            let first = part * block * grid.width;
            let finish = Finish { then, bias: &weights.bias, area: grid.height * grid.width, out, outputs, first };
            match &operand.words {
                Words::Floats(values) => dispatch(self.path(), PairBlock { values, grid, weights, finish }),
                Words::Halves(values) => dispatch(self.path(), PairBlock { values, grid, weights, finish }),
            }
        });
    }
}

fn fill<E: Element>(kernels: Kernels, lines: Lines<'_>, words: &mut [E], line: usize) {
    if line > 0 {
        words.par_chunks_mut(line).enumerate().for_each(|(at, words)| {
            dispatch(kernels.path(), Fill { lines, at, words });
        });
    }
}

/// One line with its border, or a line of the border.
struct Fill<'a, E> {
    lines: Lines<'a>,
    at: usize,
    words: &'a mut [E],
}

impl<E: Element> Work for Fill<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Grid { height, width, channels, .. } = self.lines.grid;
        let border = self.lines.borders.lines;
        let (picture, y) = (self.at / (height + border.both()), self.at % (height + border.both()));
        let Some(y) = y.checked_sub(border.before).filter(|y| *y < height) else {
            self.words.fill(E::default());
            return;
        };
        let pairs = width.div_ceil(2);
        // A pixel of the border before the line, and one or two behind it.
        let mut pixels = vec![0.0; (2 * pairs + 2) * channels];
        self.lines.line::<I>((picture, y), &mut pixels[channels..(width + 1) * channels]);
        let pixel = channels.next_multiple_of(E::VALUES);
        let (ab, cd) = self.words.split_at_mut(2 * pairs * pixel);
        let ((a, b), (c, d)) = (ab.split_at_mut(pairs * pixel), cd.split_at_mut(pairs * pixel));
        let mut planes = [a, b, c, d];
        for pair in 0..pairs {
            let source = &pixels[2 * pair * channels..(2 * pair + 4) * channels];
            let to = planes.each_mut().map(|plane| &mut plane[pair * pixel..(pair + 1) * pixel]);
            transform(source, channels, to);
        }
    }
}

/// Four pixels to a pixel of each plane.
#[inline(always)]
fn transform<E: Element>(source: &[f32], channels: usize, mut to: [&mut [E]; PLANES]) {
    let (ab, cd) = source.split_at(2 * channels);
    let ((a, b), (c, d)) = (ab.split_at(channels), cd.split_at(channels));
    let whole = channels / LINE * LINE;
    for from in (0..whole).step_by(LINE) {
        let [a, b, c, d] = [a, b, c, d].map(|pixel| *pixel[from..].first_chunk::<LINE>().unwrap_or(&[0.0; LINE]));
        let mut out = [[E::default(); LINE]; PLANES];
        for lane in 0..LINE {
            let sums = of_pixels([a[lane], b[lane], c[lane], d[lane]]);
            for plane in 0..PLANES {
                out[plane][lane] = E::of(sums[plane]);
            }
        }
        for (to, out) in to.iter_mut().zip(out) {
            to[from..from + LINE].copy_from_slice(&out);
        }
    }
    for at in whole..channels {
        let sums = of_pixels([a[at], b[at], c[at], d[at]]);
        to.iter_mut().zip(sums).for_each(|(to, sum)| to[at] = E::of(sum));
    }
    to.iter_mut().for_each(|to| to[channels..].fill(E::default()));
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
        let first = self.finish.first / width;
        let lines = first..first + self.finish.out.len() / self.finish.outputs / width;
        for panel in 0..self.weights.planes[0].panels() {
            for line in lines.clone() {
                let mut pair = 0;
                while pair < pairs {
                    let place = (panel, line, pair);
                    pair += match pairs - pair {
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
}

impl<E: Element> PairBlock<'_, E> {
    #[inline(always)]
    fn tile<I: Isa, const R: usize>(&mut self, isa: I, (panel, line, pair): (usize, usize, usize)) -> usize {
        let Grid { height, width, .. } = self.grid;
        let pixel = self.grid.channels.next_multiple_of(E::VALUES);
        let plane = width.div_ceil(2) * pixel;
        let (words, pitch) = (pixel / E::VALUES, PLANES * plane);
        // Two lines of the border for each picture.
        let start = (line + line / height * 2) * pitch + pair * pixel;
        let windows = Windows { values: self.values, start, stride: pixel, segments: 3, pitch, words };
        let mut products = [[[0.0; PANEL]; R]; PLANES];
        let mut columns = PANEL;
        for (at, (products, dense)) in products.iter_mut().zip(&self.weights.planes).enumerate() {
            let windows = Windows { start: start + at * plane, ..windows };
            let lines = dense.panel(panel);
            columns = lines.len() / (3 * words) * LINE;
            if columns == PANEL {
                E::tile::<I, R, 2>(isa, windows, lines.as_chunks().0, products);
            } else {
                E::tile::<I, R, 1>(isa, windows, lines.as_chunks().0, products);
            }
        }
        self.join::<I, R>(&products, (panel, columns), (line, pair));
        R
    }

    #[inline(always)]
    fn join<I: Isa, const R: usize>(
        &mut self,
        [a, b, c, d]: &[FloatSums<R>; PLANES],
        panel: (usize, usize),
        (line, pair): (usize, usize),
    ) {
        let width = self.grid.width;
        for row in 0..R {
            let mut two = [[0.0; PANEL]; 2];
            for at in 0..PANEL {
                [two[0][at], two[1][at]] = of_products([a[row][at], b[row][at], c[row][at], d[row][at]]);
            }
            let x = 2 * (pair + row);
            for (sums, x) in two.iter().zip(x..width) {
                self.finish.row(sums, line * width + x, panel);
            }
        }
    }
}
