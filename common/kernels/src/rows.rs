//! Rows that lie in a larger matrix.

/// Rows of `width` values, of which the first begins at `first` and each further one `stride` values
/// on: a head of many, or the overlapping windows of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The whole matrix.
    pub values: &'a [f32],
    /// Where the first row begins.
    pub first: usize,
    /// From the beginning of a row to that of the next.
    pub stride: usize,
    /// Values of a row.
    pub width: usize,
}

impl<'a> Rows<'a> {
    /// Rows one behind the other.
    #[must_use]
    pub fn of(values: &'a [f32], width: usize) -> Self {
        Self { values, first: 0, stride: width, width }
    }

    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> &'a [f32] {
        let start = self.first + at * self.stride;
        &self.values[start..start + self.width]
    }
}
