//! Maps for convolutions by pairs of pixels: sums and differences of neighbours.

use rayon::prelude::*;

use super::{
    Border, Borders, Buffer, Element, Grid, LINE, Precision, Prepare,
    dense::width,
    operand::{Lines, Words},
};
use crate::{
    isa::{Isa, Work, dispatch},
    path::Kernels,
};

/// Products of a pair.
pub(super) const PLANES: usize = 4;

/// A map with its border of one pixel, as sums and differences of neighbours.
#[derive(Debug)]
pub struct Pairs {
    /// Sizes of the result, with the channels of the map.
    pub(super) grid: Grid,
    pub(super) words: Words,
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
    fn run<I: Isa>(self, isa: I) {
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
        self.lines.line(isa, (picture, y), &mut pixels[channels..(width + 1) * channels]);
        let pixel = channels.next_multiple_of(E::VALUES);
        let (ab, cd) = self.words.split_at_mut(2 * pairs * pixel);
        let ((a, b), (c, d)) = (ab.split_at_mut(pairs * pixel), cd.split_at_mut(pairs * pixel));
        let mut planes = [a, b, c, d];
        for pair in 0..pairs {
            let source = &pixels[2 * pair * channels..(2 * pair + 4) * channels];
            let to = planes.each_mut().map(|plane| &mut plane[pair * pixel..(pair + 1) * pixel]);
            transform(isa, source, channels, to);
        }
    }
}

/// Four pixels to a pixel of each plane.
#[inline(always)]
fn transform<I: Isa, E: Element>(isa: I, source: &[f32], channels: usize, mut to: [&mut [E]; PLANES]) {
    let (ab, cd) = source.split_at(2 * channels);
    let ((a, b), (c, d)) = (ab.split_at(channels), cd.split_at(channels));
    let whole = channels / LINE * LINE;
    for from in (0..whole).step_by(LINE) {
        let [a, b, c, d] = [a, b, c, d].map(|pixel| *pixel[from..].first_chunk::<LINE>().unwrap_or(&[0.0; LINE]));
        let mut out = [[0.0; LINE]; PLANES];
        for lane in 0..LINE {
            let sums = of_pixels([a[lane], b[lane], c[lane], d[lane]]);
            for plane in 0..PLANES {
                out[plane][lane] = sums[plane];
            }
        }
        for (to, out) in to.iter_mut().zip(out) {
            to[from..from + LINE].copy_from_slice(&E::line(isa, &out));
        }
    }
    for at in whole..channels {
        let sums = of_pixels([a[at], b[at], c[at], d[at]]);
        to.iter_mut().zip(sums).for_each(|(to, sum)| to[at] = E::of(sum));
    }
    to.iter_mut().for_each(|to| to[channels..].fill(E::default()));
}

#[inline(always)]
fn of_pixels([a, b, c, d]: [f32; 4]) -> [f32; PLANES] {
    [a - c, b + c, c - b, b - d]
}
