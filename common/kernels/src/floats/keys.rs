//! Keys and values as attention reads them.

use super::{Buffer, LINE, Line, PANEL, Precision, dense::per_word};

/// Keys and values of all heads of some pictures.
#[derive(Debug)]
pub struct Heads {
    pub(super) precision: Precision,
    pub(super) batch: usize,
    pub(super) heads: usize,
    /// Values of a head.
    pub(super) width: usize,
    pub(super) tokens: usize,
    pub(super) lines: Buffer<Line>,
}

impl Heads {
    /// Pictures whose keys they are.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Those of one after the other.
    ///
    /// # Panics
    /// If there are none, or their sizes differ.
    #[must_use]
    pub fn join(parts: &[&Self]) -> Self {
        let sizes = |part: &Self| (part.precision, part.heads, part.width, part.tokens);
        assert!(parts.iter().all(|part| sizes(part) == sizes(parts[0])), "keys of several sizes");
        let (precision, heads, width, tokens) = sizes(parts[0]);
        let mut lines = Buffer::new(parts.iter().map(|part| part.lines.len()).sum());
        let mut rest = &mut lines[..];
        for part in parts {
            let (own, after) = rest.split_at_mut(part.lines.len());
            own.copy_from_slice(&part.lines);
            rest = after;
        }
        let batch = parts.iter().map(|part| part.batch).sum();
        Self { precision, batch, heads, width, tokens, lines }
    }

    /// Words of a key.
    pub(super) fn words(&self) -> usize {
        self.width.div_ceil(per_word(self.precision))
    }

    /// Tokens, filled up to whole panels.
    pub(super) fn padded(&self) -> usize {
        self.tokens.next_multiple_of(PANEL)
    }

    /// Lines of values, of which two make a panel.
    pub(super) fn value_lines(&self) -> usize {
        self.width.div_ceil(LINE)
    }

    /// Lines of the keys of a head, and of its values: of each block of keys one panel after the other.
    pub(super) fn sizes(&self) -> [usize; 2] {
        let keys = self.padded() / PANEL * self.words() * 2;
        [keys, self.padded() / per_word(self.precision) * self.value_lines()]
    }

    pub(super) fn head(&self, picture: usize, head: usize) -> (&[Line], &[Line]) {
        let [keys, values] = self.sizes();
        let all = &self.lines[(picture * self.heads + head) * (keys + values)..][..keys + values];
        all.split_at(keys)
    }
}
