//! Zeros around a map.

/// Pixels of zeros around a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Border {
    /// Above and to the left.
    pub before: usize,
    /// Below and to the right.
    pub after: usize,
}

/// The borders of a map: a part of one has none where the map goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Borders {
    /// Lines above and below.
    pub lines: Border,
    /// Pixels to the left and to the right.
    pub pixels: Border,
}

impl Border {
    /// No border.
    pub const NONE: Self = Self { before: 0, after: 0 };

    pub(super) fn both(self) -> usize {
        self.before + self.after
    }
}

impl From<Border> for Borders {
    /// The same on all sides.
    fn from(border: Border) -> Self {
        Self { lines: border, pixels: border }
    }
}
