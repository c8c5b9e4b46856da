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
mod product;

pub use border::{Border, Borders};
pub use buffer::{Buffer, Pool, Pooled};
pub use dense::{Dense, Shape};
pub use doubled::Doubled;
pub use element::Precision;
pub use keys::Heads;
pub use moments::Affine;
pub use operand::{Grid, Operand, Prepare};
pub use paired::{Paired, Pairs};
pub use product::{Product, Window};

pub(crate) use element::{Bf16, Element, LINE, Line, PANEL};

/// Sums of R rows with the columns of a panel.
pub(crate) type FloatSums<const R: usize> = [[f32; PANEL]; R];

/// Where the rows of a tile lie: each is some segments of words, as the rows of a convolution's window.
#[derive(Clone, Copy)]
pub(crate) struct Windows<'a, E> {
    pub(crate) values: &'a [E],
    /// Where the first row begins.
    pub(crate) start: usize,
    /// From one row to the next.
    pub(crate) stride: usize,
    pub(crate) segments: usize,
    /// From one segment to the next.
    pub(crate) pitch: usize,
    /// Words of four bytes in a segment.
    pub(crate) words: usize,
}

impl<E: Element> Windows<'_, E> {
    /// Refuses rows that end before the panel does: the tiles read them without looking.
    #[inline(always)]
    pub(crate) fn assert_whole(&self, rows: usize, panel: usize) {
        let last = self.start + (rows - 1) * self.stride + (self.segments - 1) * self.pitch;
        let end = last + self.words * E::VALUES;
        assert!(end <= self.values.len() && self.segments * self.words == panel, "a tile of {rows} rows ends at {end}");
    }
}
