//! Large maps are convolved some lines at a time: what their windows see, prepared and padded, is up to twice
//! as large as the map, and so never exists whole. The result is the same to the bit.

use std::cell::Cell;
use std::ops::Range;

use shanshui_kernels::floats::{Affine, Border, Grid, Precision, Prepare, Product};

use super::conv::Window;

thread_local! {
    /// Bytes of prepared lines that a band has, about: enough pixels for many threads, and the lines that two
    /// bands both prepare are few among them.
    static BYTES: Cell<usize> = const { Cell::new(32 << 20) };
}

/// Fewer lines are not worth those that are prepared twice.
const LEAST: usize = 8;

/// Some lines of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Band {
    /// Of which pictures.
    pub(super) pictures: Range<usize>,
    /// The lines that the windows see.
    pub(super) lines: Range<usize>,
    /// Lines of zeros around these.
    pub(super) border: Border,
    /// Where the windows lie: the lines of the result, or half of these where the map is doubled.
    pub(super) places: Range<usize>,
}

/// How a map is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) grid: Grid,
    pub(super) window: Window,
    /// Bytes of a prepared line.
    pub(super) line: usize,
}

impl Cut {
    /// The whole map if it is small, else the bands of one picture after the other.
    pub(super) fn bands(self) -> Vec<Band> {
        let Grid { batch, height, .. } = self.grid;
        let places = places(height, self.window);
        let bytes = BYTES.get();
        if batch * height * self.line <= 2 * bytes {
            return vec![self.band(0..batch, 0..places)];
        }
        let together = (bytes / (self.line * self.window.stride)).max(LEAST);
        let cut = |picture| {
            let starts = (0..places).step_by(together);
            starts.map(move |first| self.band(picture..picture + 1, first..places.min(first + together)))
        };
        (0..batch).flat_map(cut).collect()
    }

    fn band(self, pictures: Range<usize>, places: Range<usize>) -> Band {
        let (Window { kernel, stride, before, .. }, height) = (self.window, self.grid.height);
        // Counted from the first line of the border.
        let seen = places.start * stride..places.end.saturating_sub(1) * stride + kernel;
        let lines = seen.start.saturating_sub(before).min(height)..(seen.end.saturating_sub(before)).min(height);
        let border =
            Border { before: before.saturating_sub(seen.start), after: seen.end.saturating_sub(before + height) };
        Band { pictures, lines, border, places }
    }
}

/// Bytes of a line of a map, prepared.
pub(super) fn line(grid: Grid, precision: Precision) -> usize {
    let value = match precision {
        Precision::F32 => size_of::<f32>(),
        Precision::Bf16 => size_of::<u16>(),
    };
    grid.width * grid.channels * value
}

/// Places of a window on a side.
pub(super) fn places(side: usize, window: Window) -> usize {
    let Window { kernel, stride, before, after } = window;
    (side + before + after).saturating_sub(kernel) / stride + 1
}

impl Band {
    /// The band's part of a map, and its sizes.
    pub(super) fn of<'a>(&self, (values, grid): (&'a [f32], Grid)) -> (&'a [f32], Grid) {
        let part = Grid { batch: self.pictures.len(), height: self.lines.len(), ..grid };
        (&values[self.place(&self.lines, grid)], part)
    }

    /// Where the band's part of the result lies, of which each place has so many lines.
    pub(super) fn result(&self, lines: usize, grid: Grid) -> Range<usize> {
        self.place(&(self.places.start * lines..self.places.end * lines), grid)
    }

    fn place(&self, lines: &Range<usize>, grid: Grid) -> Range<usize> {
        let line = grid.width * grid.channels;
        let picture = grid.height * line;
        let last = (self.pictures.end - 1) * picture;
        self.pictures.start * picture + lines.start * line..last + lines.end * line
    }

    /// What is added behind the product, as far as it concerns the band.
    pub(super) fn then<'a>(&self, then: Product<'a>, result: &Range<usize>, outputs: usize) -> Product<'a> {
        let extra = then.extra.map(|extra| &extra[self.pictures.start * outputs..self.pictures.end * outputs]);
        Product { extra, add: then.add.map(|add| &add[result.clone()]), ..then }
    }
}

/// What is done to a map on its way in.
pub(super) fn prepare(affine: Option<&Affine>, silu: bool) -> Prepare<'_> {
    match affine {
        Some(affine) if silu => Prepare::AffineSilu(affine),
        Some(affine) => Prepare::Affine(affine),
        None => Prepare::Keep,
    }
}

/// Has this thread cut maps into smaller bands.
#[cfg(test)]
pub(crate) fn cut_at(bytes: usize) {
    BYTES.set(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_each_place_once_and_see_what_its_window_sees() {
        for (kernel, stride, before, after) in [(3, 1, 1, 1), (1, 1, 0, 0), (3, 2, 0, 1), (3, 2, 1, 1)] {
            let window = Window { kernel, stride, before, after };
            for height in [1, 2, 9, 17, 64, 67] {
                let grid = Grid { batch: 2, height, width: 3, channels: 5 };
                let bands = Cut { grid, window, line: BYTES.get() }.bands();
                let mut next = [0; 2];
                for band in bands {
                    let (high, border) = (band.lines.len(), band.border);
                    let padded = high + border.before + border.after;
                    assert_eq!((padded - kernel) / stride + 1, band.places.len(), "{window:?} {height} {band:?}");
                    assert_eq!(band.lines.start + before, band.places.start * stride + border.before, "{band:?}");
                    for picture in band.pictures.clone() {
                        assert_eq!(std::mem::replace(&mut next[picture], band.places.end), band.places.start);
                    }
                }
                assert_eq!(next, [places(height, window); 2], "{window:?} {height}");
            }
        }
    }
}
