//! Activations, ready to be multiplied.

use rayon::prelude::*;

use super::{Affine, Bf16, Borders, Buffer, Element, LINE, Precision, dense::width};
use crate::{
    functions::{exp_of, larger},
    isa::{Isa, Work, dispatch},
    path::Kernels,
    quantised::{Norm, normalise},
};

/// Sizes of a map, channels last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Pictures.
    pub batch: usize,
    /// Lines of pixels.
    pub height: usize,
    /// Pixels of a line.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
}

/// What is done to the values on their way.
#[derive(Debug, Clone, Copy)]
pub enum Prepare<'a> {
    /// Nothing.
    Keep,
    /// What is below zero becomes zero.
    Relu,
    /// A factor and an offset for each channel of each picture: a group norm.
    Affine(&'a Affine),
    /// The same with a SiLU behind it.
    AffineSilu(&'a Affine),
    /// Layer norm of each pixel.
    LayerNorm(&'a Norm),
}

/// A map with its border, in the precision of the weights that it meets.
#[derive(Debug)]
pub struct Operand {
    pub(crate) grid: Grid,
    pub(crate) borders: Borders,
    pub(crate) words: Words,
}

#[derive(Debug)]
pub(crate) enum Words {
    Floats(Buffer<f32>),
    Halves(Buffer<Bf16>),
}

impl Grid {
    /// Pixels of all pictures.
    #[must_use]
    pub fn pixels(self) -> usize {
        self.batch * self.height * self.width
    }

    /// Values of all pictures.
    #[must_use]
    pub fn len(self) -> usize {
        self.pixels() * self.channels
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl Operand {
    pub(crate) fn new(precision: Precision, grid: Grid, borders: Borders) -> Self {
        let mut operand = Self { grid, borders, words: Words::Floats(Buffer::new(0)) };
        let pixels = grid.batch * (grid.height + borders.lines.both()) * operand.line();
        let values = pixels * width(grid.channels, precision);
        operand.words = match precision {
            Precision::F32 => Words::Floats(Buffer::new(values)),
            Precision::Bf16 => Words::Halves(Buffer::new(values)),
        };
        operand
    }

    /// What its values were rounded to.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self.words {
            Words::Floats(_) => Precision::F32,
            Words::Halves(_) => Precision::Bf16,
        }
    }

    /// Its sizes without the border.
    #[must_use]
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Pixels from a line to the next.
    pub(crate) fn line(&self) -> usize {
        self.grid.width + self.borders.pixels.both()
    }

    /// Values from a pixel to the next.
    pub(crate) fn pixel(&self) -> usize {
        width(self.grid.channels, self.precision())
    }
}

impl Kernels {
    /// Prepares a map for a product. Where `to` has another height or width than the source, each pixel is
    /// the nearest one: an enlarged map.
    ///
    /// # Panics
    /// If the source, or what prepares it, has other sizes than the grid says.
    #[must_use]
    pub fn operand(
        self,
        (source, grid): (&[f32], Grid),
        prepare: Prepare<'_>,
        precision: Precision,
        (to, borders): ([usize; 2], impl Into<Borders>),
    ) -> Operand {
        let borders = borders.into();
        assert_eq!(source.len(), grid.len(), "values of a map");
        let to = Grid { height: to[0], width: to[1], ..grid };
        let mut operand = Operand::new(precision, to, borders);
        let lines = Lines { source, grid, to, borders, prepare };
        match &mut operand.words {
            Words::Floats(words) => lines.fill(self, words),
            Words::Halves(words) => lines.fill(self, words),
        }
        operand
    }
}

/// A map on its way into an operand.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) source: &'a [f32],
    pub(super) grid: Grid,
    pub(super) to: Grid,
    pub(super) borders: Borders,
    pub(super) prepare: Prepare<'a>,
}

/// Values that are worth a second thread.
const PARALLEL_FROM: usize = 1 << 15;

impl Lines<'_> {
    /// One line of a picture, prepared and without its border.
    #[inline(always)]
    pub(super) fn line<I: Isa>(&self, isa: I, (picture, y): (usize, usize), out: &mut [f32]) {
        let Grid { height, width, channels, .. } = self.grid;
        let source = &self.source[(picture * height + y) * width * channels..][..width * channels];
        let mut row = vec![0.0; channels];
        for (values, out) in source.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            self.prepare.apply(isa, (values, picture), &mut row, out);
        }
    }

    fn fill<E: Element>(self, kernels: Kernels, words: &mut [E]) {
        let pixel = self.to.channels.next_multiple_of(E::VALUES);
        let line = (self.to.width + self.borders.pixels.both()) * pixel;
        if line == 0 {
            return;
        }
        let together = (PARALLEL_FROM / line).max(1);
        let work = |(part, words): (usize, &mut [E])| {
            dispatch(kernels.path(), Fill { lines: self, first: part * together, words, line, pixel });
        };
        if words.len() <= 2 * PARALLEL_FROM || rayon::current_num_threads() == 1 {
            words.chunks_mut(together * line).enumerate().for_each(work);
        } else {
            words.par_chunks_mut(together * line).enumerate().for_each(work);
        }
    }
}

/// Some lines, border and all.
struct Fill<'a, E> {
    lines: Lines<'a>,
    first: usize,
    words: &'a mut [E],
    line: usize,
    pixel: usize,
}

impl<E: Element> Work for Fill<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Lines { source, grid, to, borders: Borders { lines, pixels }, prepare } = self.lines;
        let high = to.height + lines.both();
        let mut row = vec![0.0; grid.channels];
        for (at, line) in self.words.chunks_exact_mut(self.line).enumerate() {
            let (picture, y) = ((self.first + at) / high, (self.first + at) % high);
            let Some(y) = y.checked_sub(lines.before).filter(|y| *y < to.height) else {
                line.fill(E::default());
                continue;
            };
            let (left, rest) = line.split_at_mut(pixels.before * self.pixel);
            let (inner, right) = rest.split_at_mut(to.width * self.pixel);
            left.fill(E::default());
            right.fill(E::default());
            let first = (picture * grid.height + y * grid.height / to.height) * grid.width * grid.channels;
            let values = &source[first..first + grid.width * grid.channels];
            if to.width == grid.width {
                prepare.line(isa, (values, picture), &mut row, inner);
                continue;
            }
            for (x, out) in inner.chunks_exact_mut(self.pixel).enumerate() {
                let values = &values[x * grid.width / to.width * grid.channels..][..grid.channels];
                prepare.apply(isa, (values, picture), &mut row, out);
            }
        }
    }
}

impl Prepare<'_> {
    /// Some pixels. Where they do not differ from one to the next they are one long row.
    #[inline(always)]
    fn line<I: Isa, E: Element>(self, isa: I, (values, picture): (&[f32], usize), row: &mut [f32], out: &mut [E]) {
        match self {
            Prepare::Keep | Prepare::Relu if values.len() == out.len() => {
                self.apply(isa, (values, picture), row, out);
            }
            _ => {
                // A loop: what iterators call with a closure is compiled for the oldest CPU.
                let (from, to) = (row.len(), row.len().next_multiple_of(E::VALUES));
                for (values, out) in values.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
                    self.apply(isa, (values, picture), row, out);
                }
            }
        }
    }

    /// One pixel, of which a word at the end may be filled up.
    #[inline(always)]
    fn apply<I: Isa, E: Element>(self, isa: I, (values, picture): (&[f32], usize), row: &mut [f32], out: &mut [E]) {
        let end = values.len();
        match self {
            Prepare::Keep => put(isa, values, out, |value| value),
            Prepare::Relu => put(isa, values, out, |value| larger(value, 0.0)),
            Prepare::Affine(affine) => {
                let (scale, offset) = affine.of(picture, end);
                put_with(isa, values, ([scale, offset], out), I::mul_add);
            }
            Prepare::AffineSilu(affine) => {
                let (scale, offset) = affine.of(picture, end);
                put_with(isa, values, ([scale, offset], out), |value, scale, offset| {
                    let x = I::mul_add(value, scale, offset);
                    x / (1.0 + exp_of::<I>(-x))
                });
            }
            Prepare::LayerNorm(norm) => {
                normalise::<I>(values, norm, row);
                put(isa, row, out, |value| value);
            }
        }
        out[end..].fill(E::default());
    }
}

#[inline(always)]
pub(super) fn put<I: Isa, E: Element>(isa: I, values: &[f32], out: &mut [E], each: impl Fn(f32) -> f32) {
    put_with(isa, values, ([values, values], out), |value, _, _| each(value));
}

/// In whole registers: what is left at the end is rarely more than nothing.
#[inline(always)]
fn put_with<I: Isa, E: Element>(
    isa: I,
    values: &[f32],
    (with, out): ([&[f32]; 2], &mut [E]),
    each: impl Fn(f32, f32, f32) -> f32,
) {
    let ((values, rest), [(a, a_rest), (b, b_rest)]) =
        (values.as_chunks::<LINE>(), with.map(<[f32]>::as_chunks::<LINE>));
    let (whole, end) = out.split_at_mut(values.len() * LINE);
    for (((out, value), a), b) in whole.as_chunks_mut::<LINE>().0.iter_mut().zip(values).zip(a).zip(b) {
        let mut line = [0.0; LINE];
        for lane in 0..LINE {
            line[lane] = each(value[lane], a[lane], b[lane]);
        }
        *out = E::line(isa, &line);
    }
    for (((out, value), a), b) in end.iter_mut().zip(rest).zip(a_rest).zip(b_rest) {
        *out = E::of(each(*value, *a, *b));
    }
}
