//! How a product is cut for threads: by pixels, and where these are few, by columns as well.

use std::ops::Range;

use rayon::prelude::*;

/// Pixels that a panel of weights meets before the next one comes: their operand stays in the cache.
pub(super) const BLOCK: usize = 512;

/// Fewer pixels are not cut for a thread: it would read all weights for them.
const FEWEST: usize = 256;

/// Products of two numbers that are worth a second thread.
const PARALLEL_FROM: usize = 1 << 20;

/// Sizes of the parts.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Pixels of a part.
    pub(super) pixels: usize,
    /// Parts of the same pixels.
    pub(super) stripes: usize,
    pub(super) panels: usize,
}

/// Some columns of some pixels.
pub(super) struct Part<'a, T> {
    /// The first pixel.
    pub(super) first: usize,
    /// The panels of the weights that make the columns.
    pub(super) panels: Range<usize>,
    /// The columns of each pixel.
    pub(super) pixels: Vec<&'a mut [T]>,
}

impl Cut {
    /// For so many pixels, of which `together` belong together, and panels of so many products of two numbers for
    /// a pixel.
    pub(super) fn of(pixels: usize, together: usize, (panels, products): (usize, usize)) -> Self {
        let threads = rayon::current_num_threads();
        let many = threads > 1 && pixels * panels * products >= PARALLEL_FROM;
        let wanted = if many { 2 * threads } else { 1 };
        let blocks = pixels.div_ceil(BLOCK).max(wanted.min(pixels / FEWEST)).max(1);
        let part = pixels.div_ceil(blocks).next_multiple_of(together.max(1)).max(1);
        let stripes = wanted.div_ceil(pixels.div_ceil(part).max(1)).clamp(1, panels.max(1));
        Self { pixels: part, stripes, panels }
    }

    /// Calls `work` with each part of `out`, whose pixels have `row` values, of which a panel makes `width`.
    pub(super) fn each<T: Send>(
        self,
        out: &mut [T],
        (row, width): (usize, usize),
        work: impl Fn(Part<'_, T>) + Send + Sync,
    ) {
        let pixels = |(at, out)| self.stripes((at * self.pixels, out), (row, width));
        let block = (self.pixels * row).max(1);
        if out.len() <= block && self.stripes == 1 || rayon::current_num_threads() == 1 {
            out.chunks_mut(block).enumerate().flat_map(pixels).for_each(work);
        } else {
            out.par_chunks_mut(block).enumerate().flat_map(pixels).for_each(work);
        }
    }

    fn stripes<T>(self, (first, out): (usize, &mut [T]), (row, width): (usize, usize)) -> Vec<Part<'_, T>> {
        let place = |stripe: usize| stripe * self.panels / self.stripes;
        let part = |stripe| Part { first, panels: place(stripe)..place(stripe + 1), pixels: Vec::new() };
        let mut parts: Vec<_> = (0..self.stripes).map(part).collect();
        for pixel in out.chunks_exact_mut(row) {
            let mut rest = pixel;
            for part in &mut parts {
                let columns = (part.panels.len() * width).min(rest.len());
                let (own, after) = rest.split_at_mut(columns);
                part.pixels.push(own);
                rest = after;
            }
        }
        parts
    }
}

impl<T> Part<'_, T> {
    /// The first pixel and how many, and the panels.
    #[inline(always)]
    pub(super) fn sizes(&self) -> ((usize, usize), Range<usize>) {
        ((self.first, self.pixels.len()), self.panels.clone())
    }

    /// The columns of a pixel from a column on.
    #[inline(always)]
    pub(super) fn at(&mut self, pixel: usize, column: usize, width: usize) -> &mut [T] {
        &mut self.pixels[pixel - self.first][column - self.panels.start * width..]
    }
}
