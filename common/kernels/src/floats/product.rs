//! Convolutions and linear layers: windows of an operand times packed weights.

use std::ops::Range;

use super::{
    Border, Dense, Element, FOUR, FloatSums, Grid, LINE, Line, Operand, PANEL, TILE_ROWS, Windows, even,
    operand::Words,
    parts::{Cut, Part},
};
use crate::{
    functions::larger,
    isa::{Isa, Work, dispatch},
    path::Kernels,
};

/// How a square window slides over an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side.
    pub kernel: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
}

/// What is done with sums while they are in the cache: bias, then these in their order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Product<'a> {
    /// A value for each output of each picture: the embedding of a timestep.
    pub extra: Option<&'a [f32]>,
    /// A map of the result's sizes: a residual.
    pub add: Option<&'a [f32]>,
    /// Whether the result is added to what is there.
    pub onto: bool,
    /// Whether what is below zero becomes zero.
    pub relu: bool,
}

impl Kernels {
    /// Multiplies every window of the operand with the weights: `out` gets the result, channels last.
    ///
    /// # Panics
    /// If the sizes do not fit, or operand and weights differ in precision.
    pub fn product(self, (operand, window): (&Operand, Window), weights: &Dense, then: Product<'_>, out: &mut [f32]) {
        assert!(!weights.gated, "these weights are for a gated product");
        let places = Places::of(operand, window, weights);
        let outputs = weights.shape.outputs;
        then.assert_fits(places.to, out.len());
        places.cut(weights).each(out, (outputs, PANEL), |part| {
            let area = places.to.height * places.to.width;
            self.run(operand, (places, weights), Finish { then, bias: &weights.bias, area, part, outputs });
        });
    }

    pub(super) fn run<F: Finishes>(self, operand: &Operand, (places, weights): (Places, &Dense), finish: F) {
        match &operand.words {
            Words::Floats(words) => dispatch(self.path(), Block { values: &words[..], places, weights, finish }),
            Words::Halves(words) => dispatch(self.path(), Block { values: &words[..], places, weights, finish }),
        }
    }
}

/// Where the windows of a product lie.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// Where the first window begins.
    origin: usize,
    to: Grid,
    /// Pixels of the result whose windows are equally far apart.
    run: usize,
    /// Values from one window to the next, from one line of the result to the next, and from one picture to
    /// the next.
    steps: [usize; 3],
    segments: usize,
    /// Values from a line of a window to the next.
    pitch: usize,
    /// Words of a line of a window.
    words: usize,
}

impl Places {
    pub(super) fn of(operand: &Operand, window: Window, weights: &Dense) -> Self {
        let Operand { grid, borders, .. } = *operand;
        let (precision, shape) = (operand.precision(), weights.shape);
        assert_eq!((shape.inputs, shape.kernel), (grid.channels, window.kernel), "sizes of a product");
        assert_eq!(precision, weights.precision, "precision of a product");
        let places =
            |side: usize, border: Border| (side + border.both()).saturating_sub(window.kernel) / window.stride + 1;
        let (height, width) = (places(grid.height, borders.lines), places(grid.width, borders.pixels));
        let to = Grid { height, width, channels: shape.outputs, batch: grid.batch };
        let (pixel, line) = (operand.pixel(), operand.line() * operand.pixel());
        let picture = (grid.height + borders.lines.both()) * line;
        let plain = window == Window { kernel: 1, stride: 1 } && borders == Border::NONE.into();
        Self {
            origin: 0,
            to,
            run: if plain { to.pixels() } else { to.width },
            steps: [window.stride * pixel, window.stride * line, picture],
            segments: window.kernel,
            pitch: line,
            words: shape.words(precision) / window.kernel,
        }
    }

    /// Those of one of the four pixels that come of each, when a map is doubled.
    pub(super) fn doubled(operand: &Operand, weights: &Dense, [down, right]: [usize; 2]) -> Self {
        let places = Self::of(operand, Window { kernel: 2, stride: 1 }, weights);
        let origin = down * places.steps[1] + right * places.steps[0];
        // One place less than there would be: the windows begin where the parity says.
        let to = Grid { height: places.to.height - 1, width: operand.grid.width, ..places.to };
        Self { origin, to, run: to.width, ..places }
    }

    /// How the work is cut for threads.
    pub(super) fn cut(&self, weights: &Dense) -> Cut {
        Cut::of(self.to.pixels(), 12, (weights.panels(), PANEL * self.words * self.segments))
    }

    /// Where the window of a pixel of the result begins.
    #[inline(always)]
    fn at(&self, pixel: usize) -> usize {
        let (line, x) = (pixel / self.run, pixel % self.run);
        let (picture, y) = (line / self.to.height, line % self.to.height);
        self.origin + x * self.steps[0] + y * self.steps[1] + picture * self.steps[2]
    }

    /// Where those of the pixels from one on begin, and for how many that holds. A tile of a few rows may have
    /// them from several lines, if each line is some fours.
    #[inline(always)]
    fn from<I: Isa>(&self, pixel: usize, count: usize) -> ([usize; TILE_ROWS / FOUR], usize) {
        let left = self.run - pixel % self.run;
        if !I::MANY && left < count && self.run.is_multiple_of(FOUR) && pixel.is_multiple_of(FOUR) {
            let four = |four: usize| pixel + FOUR * four.min((count - 1) / FOUR);
            return (std::array::from_fn(|at| self.at(four(at))), count);
        }
        (even(self.at(pixel), self.steps[0]), left.min(count))
    }
}

/// What becomes of the sums of a tile.
pub(super) trait Finishes {
    /// Pixels of the block: the first, and how many; and panels.
    fn part(&self) -> ((usize, usize), Range<usize>);

    /// Takes the sums of some pixels: the first of these, the panel, and how many columns it has.
    fn finish<I: Isa, const R: usize>(&mut self, isa: I, sums: &FloatSums<R>, place: (usize, usize, usize));
}

/// Some pixels of a product.
pub(super) struct Block<'a, E, F> {
    pub(super) values: &'a [E],
    pub(super) places: Places,
    pub(super) weights: &'a Dense,
    pub(super) finish: F,
}

impl<E: Element, F: Finishes> Work for Block<'_, E, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let words = self.places.words * self.places.segments;
        for panel in self.finish.part().1 {
            let lines = self.weights.panel(panel);
            if lines.len() == 2 * words {
                self.panel::<I, 2>(isa, panel, lines.as_chunks().0);
            } else {
                self.panel::<I, 1>(isa, panel, lines.as_chunks().0);
            }
        }
    }
}

impl<E: Element, F: Finishes> Block<'_, E, F> {
    #[inline(always)]
    fn panel<I: Isa, const V: usize>(&mut self, isa: I, panel: usize, lines: &[[Line; V]]) {
        let (first, count) = self.finish.part().0;
        let (mut pixel, end) = (first, first + count);
        while pixel < end {
            let (starts, left) = self.places.from::<I>(pixel, end - pixel);
            let place = (panel, pixel, starts);
            pixel += match left {
                1 => self.tile::<I, 1, V>(isa, place, lines),
                2 | 3 => self.tile::<I, 2, V>(isa, place, lines),
                4 | 5 => self.tile::<I, 4, V>(isa, place, lines),
                6 | 7 => self.tile::<I, 6, V>(isa, place, lines),
                16.. if I::MANY => self.tile::<I, 16, V>(isa, place, lines),
                8..=11 | 16 => self.tile::<I, 8, V>(isa, place, lines),
                _ => self.tile::<I, 12, V>(isa, place, lines),
            };
        }
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(
        &mut self,
        isa: I,
        (panel, pixel, starts): (usize, usize, [usize; TILE_ROWS / FOUR]),
        lines: &[[Line; V]],
    ) -> usize {
        let Places { steps, segments, pitch, words, .. } = self.places;
        let windows = Windows { values: self.values, starts, stride: steps[0], segments, pitch, words };
        let mut sums = [[0.0; PANEL]; R];
        E::tile::<I, R, V>(isa, windows, lines, &mut sums);
        self.finish.finish(isa, &sums, (pixel, panel, V * LINE));
        R
    }
}

/// Bias, what is added, and activation.
pub(super) struct Finish<'a> {
    pub(super) then: Product<'a>,
    pub(super) bias: &'a [f32],
    /// Pixels of a picture.
    pub(super) area: usize,
    pub(super) part: Part<'a, f32>,
    pub(super) outputs: usize,
}

impl Finishes for Finish<'_> {
    fn part(&self) -> ((usize, usize), Range<usize>) {
        self.part.sizes()
    }

    #[inline(always)]
    fn finish<I: Isa, const R: usize>(
        &mut self,
        _: I,
        sums: &FloatSums<R>,
        (pixel, panel, columns): (usize, usize, usize),
    ) {
        for (row, sums) in sums.iter().enumerate() {
            self.row(sums, pixel + row, (panel, columns));
        }
    }
}

impl Finish<'_> {
    /// The sums of a pixel with a panel of so many columns.
    #[inline(always)]
    pub(super) fn row(&mut self, sums: &[f32; PANEL], pixel: usize, (panel, columns): (usize, usize)) {
        let column = panel * PANEL;
        let whole = pixel * self.outputs + column;
        let extra = self.then.extra.map(|extra| &extra[pixel / self.area * self.outputs + column..]);
        let residual = self.then.add.map(|residual| &residual[whole..]);
        let out = self.part.at(pixel, column, PANEL);
        let mut line = *sums;
        add(&mut line, Some(&self.bias[column..]));
        let width = columns.min(self.outputs - column);
        let there = self.then.onto.then_some(&*out);
        if width == PANEL {
            add(&mut line, there);
            add(&mut line, extra);
            add(&mut line, residual);
        } else {
            add_some(&mut line[..width], there);
            add_some(&mut line[..width], extra);
            add_some(&mut line[..width], residual);
        }
        if self.then.relu {
            line.iter_mut().for_each(|value| *value = larger(*value, 0.0));
        }
        match out.first_chunk_mut::<PANEL>().filter(|_| width == PANEL) {
            Some(out) => *out = line,
            None => out[..width].copy_from_slice(&line[..width]),
        }
    }
}

/// Whole registers.
#[inline(always)]
fn add(line: &mut [f32; PANEL], values: Option<&[f32]>) {
    if let Some(values) = values.and_then(|values| values.first_chunk::<PANEL>()) {
        for at in 0..PANEL {
            line[at] += values[at];
        }
    }
}

#[inline(always)]
fn add_some(line: &mut [f32], values: Option<&[f32]>) {
    line.iter_mut().zip(values.unwrap_or_default()).for_each(|(sum, value)| *sum += value);
}

impl Product<'_> {
    /// Refuses what has other sizes than the result.
    pub(super) fn assert_fits(&self, to: Grid, values: usize) {
        assert_eq!(values, to.len(), "values of a result");
        assert!(self.extra.is_none_or(|extra| extra.len() == to.batch * to.channels), "values for each picture");
        assert!(self.add.is_none_or(|add| add.len() == values), "values of a residual");
    }
}
