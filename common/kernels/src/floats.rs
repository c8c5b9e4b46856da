//! Products of floats for networks whose activations lie channels last, such as the picture models.
//!
//! Weights are packed once, as f32 or as bf16 ([`Dense`]). What is multiplied with them is an
//! [`Operand`]: a map with its border of zeros, already normalised and rounded. Sums are always f32,
//! and are added up in one order, whatever the number of rows and threads.

mod border;
mod buffer;
mod dense;
mod doubled;
mod element;
mod gated;
mod heads;
mod keys;
mod measure;
mod moments;
mod operand;
mod paired;
mod pairs;
mod parts;
mod product;

pub use border::{Border, Borders};
pub use buffer::{Buffer, Pool, Pooled};
pub use dense::{Dense, Shape};
pub use doubled::Doubled;
pub use element::Precision;
pub use keys::Heads;
pub use moments::Affine;
pub use operand::{Grid, Operand, Prepare};
pub use paired::Paired;
pub use pairs::Pairs;
pub use product::{Product, Window};

pub(crate) use element::{Bf16, Element, LINE, Line, PANEL};

/// Sums of R rows with the columns of a panel.
pub(crate) type FloatSums<const R: usize> = [[f32; PANEL]; R];

/// Where the rows of a tile lie: each is some segments of words, as the rows of a convolution's window.
#[derive(Clone, Copy)]
pub(crate) struct Windows<'a, E> {
    pub(crate) values: &'a [E],
    /// Where each four rows begin: lines of a map may lie apart.
    pub(crate) starts: [usize; TILE_ROWS / FOUR],
    /// From one of four rows to the next.
    pub(crate) stride: usize,
    pub(crate) segments: usize,
    /// From one segment to the next.
    pub(crate) pitch: usize,
    /// Words of four bytes in a segment.
    pub(crate) words: usize,
}

/// Rows that are equally far apart in every tile.
pub(crate) const FOUR: usize = 4;

/// Rows of the largest tile.
pub(crate) const TILE_ROWS: usize = 16;

/// Where rows begin that are all equally far apart.
#[inline(always)]
pub(crate) fn even(start: usize, stride: usize) -> [usize; TILE_ROWS / FOUR] {
    std::array::from_fn(|four| start + FOUR * four * stride)
}

impl<E: Element> Windows<'_, E> {
    /// Where a row begins.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> usize {
        self.starts[row / FOUR] + row % FOUR * self.stride
    }

    /// The same rows, so many values further on.
    #[inline(always)]
    pub(crate) fn further(self, values: usize) -> Self {
        Self { starts: self.starts.map(|start| start + values), ..self }
    }

    /// Refuses rows that end before the panel does: the tiles read them without looking.
    #[inline(always)]
    pub(crate) fn assert_whole(&self, rows: usize, panel: usize) {
        let ends = self.starts.iter().zip((0..rows).step_by(FOUR));
        let last = ends.map(|(start, row)| start + (FOUR.min(rows - row) - 1) * self.stride).max().unwrap_or(0);
        let end = last + (self.segments - 1) * self.pitch + self.words * E::VALUES;
        assert!(end <= self.values.len() && self.segments * self.words == panel, "a tile of {rows} rows ends at {end}");
    }
}
