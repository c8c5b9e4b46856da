//! Attention of many queries to the same keys and values, all of them bytes.

use crate::{
    functions::{exp2_roughly, maximum, nearest, smaller},
    head::KeysValues,
    isa::{COLUMNS, Isa, Work, dispatch},
    packed::groups_for,
    path::Kernels,
    quantised::{largest_word, quantise},
    rows::Rows,
};

/// Memory for scores, which are looked at row by row and thrown away.
#[derive(Debug, Default)]
pub struct Scratch {
    scores: Vec<f32>,
    /// Of each query the high bytes, then the low ones, or words: where attention is spread over many keys, each
    /// has a weight that is nothing beside the largest.
    weights: Vec<u8>,
    query: Vec<u8>,
    last: Last,
}

/// Where in a [`Scratch`] the weights of the last query are.
#[derive(Debug, Default)]
struct Last {
    /// High byte of the first weight, and low one.
    first: [usize; 2],
    /// From one weight to the next.
    step: usize,
    /// Weights of keys.
    length: usize,
    /// What all of them sum up to.
    total: f32,
}

impl Scratch {
    /// The weights that the last query of the last call gave to the values: its softmax, one for each key.
    pub fn last_weights(&self) -> impl Iterator<Item = f32> {
        let Last { first, step, length, total } = self.last;
        let byte = move |first, key| f32::from(self.weights[first + key * step]);
        (0..length).map(move |key| (byte(first[0], key) * STEPS + byte(first[1], key)) / total)
    }
}

/// The most queries that share a pass over the keys.
const QUERIES: usize = 16;

/// A score that leaves no weight.
const NEVER: f32 = -1e30;

impl Kernels {
    /// The mean of the values, weighted by the softmax of the scores, for so many queries: `out` gets
    /// (queries, width). The queries carry the scale of the scores.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn attend(self, queries: Rows<'_>, to: &KeysValues, scratch: &mut Scratch, out: &mut [f32]) {
        assert_eq!((queries.width, out.len() % to.width), (to.width, 0), "width of a head");
        dispatch(self.path(), Attend { queries, to, scratch, out });
    }
}

struct Attend<'a> {
    queries: Rows<'a>,
    to: &'a KeysValues,
    scratch: &'a mut Scratch,
    out: &'a mut [f32],
}

impl Work for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let padded = self.to.padded();
        let together = if I::MANY { QUERIES } else { 6 };
        self.scratch.scores.resize(together * padded, 0.0);
        self.scratch.weights.resize(together * 2 * padded, 0);
        self.scratch.query.resize(together * size_of_query::<I>(), 0);
        let queries = self.out.len() / self.to.width;
        let mut at = 0;
        while at < queries {
            at += match queries - at {
                1 => self.block::<I, 1>(isa, at),
                2 | 3 => self.block::<I, 2>(isa, at),
                4 | 5 => self.block::<I, 4>(isa, at),
                16.. if I::MANY => self.block::<I, QUERIES>(isa, at),
                _ => self.block::<I, 6>(isa, at),
            };
        }
    }
}

impl Attend<'_> {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(&mut self, isa: I, first: usize) -> usize {
        let (to, padded, width) = (self.to, self.to.padded(), self.to.width);
        let scales = self.score::<I, R>(isa, first);
        let mut totals = [0f32; R];
        for (row, total) in totals.iter_mut().enumerate() {
            let scores = &mut self.scratch.scores[row * padded..(row + 1) * padded];
            scores[to.length..].fill(NEVER);
            *total = weigh::<I>(scores, scales[row], &mut self.scratch.weights[row * 2 * padded..][..2 * padded]);
        }
        self.remember::<I>((R - 1) * 2 * padded, totals[R - 1]);
        let sums = self.mix::<I, R>(isa);
        for row in 0..R {
            let out = &mut self.out[(first + row) * width..(first + row + 1) * width];
            let inverse = totals[row].recip();
            for (c, out) in out.iter_mut().enumerate() {
                *out = sums[row][c] * inverse * to.value_scales[c];
            }
        }
        R
    }

    /// Notes where the weights of a query begin.
    fn remember<I: Isa>(&mut self, at: usize, total: f32) {
        let (first, step) = if I::WORDS { ([at + 1, at], 2) } else { ([at, at + self.to.padded()], 1) };
        self.scratch.last = Last { first, step, length: self.to.length, total };
    }

    /// The values of R queries, times their weights.
    #[inline(always)]
    fn mix<I: Isa, const R: usize>(&self, isa: I) -> [[f32; COLUMNS]; R] {
        let (weights, padded) = (&self.scratch.weights, self.to.padded());
        // Behind the last key all is zero. Tiles of sixteen rows take sixteen groups at once.
        let values = &self.to.values[..if I::MANY { padded } else { self.to.length }.div_ceil(4)];
        let mut out = [[0.0; COLUMNS]; R];
        let mut add = |row: usize, steps: f32, sums: &[i32; COLUMNS]| {
            for (out, sum) in out[row].iter_mut().zip(sums) {
                *out = I::mul_add(*sum as f32, steps, *out);
            }
        };
        if I::WORDS {
            let sums = isa.tile::<R>(weights, 2 * padded, values);
            sums.iter().enumerate().for_each(|(row, sums)| add(row, 1.0, sums));
        } else if R == 1 {
            // One pass for both: with a row alone, every product would wait for the one before.
            let [high, low] = isa.tile::<2>(weights, padded, values);
            add(0, STEPS, &high);
            add(0, 1.0, &low);
        } else {
            for (first, steps) in [(0, STEPS), (padded, 1.0)] {
                let sums = isa.tile::<R>(&weights[first..], 2 * padded, values);
                sums.iter().enumerate().for_each(|(row, sums)| add(row, steps, sums));
            }
        }
        out
    }

    /// Scores of R queries with all keys, without the scales of the queries, which are returned.
    #[inline(always)]
    fn score<I: Isa, const R: usize>(&mut self, isa: I, first: usize) -> [f32; R] {
        let (padded, groups) = (self.to.padded(), groups_for(self.to.width));
        let Scratch { scores, query, .. } = &mut *self.scratch;
        let (mut scales, mut zeros) = ([0f32; R], [0f32; R]);
        let size = size_of_query::<I>();
        for row in 0..R {
            let bytes = &mut query[row * size..(row + 1) * size];
            let zero;
            (scales[row], zero) = quantise::<I>(self.queries.row(first + row), bytes);
            zeros[row] = zero as f32;
        }
        for (panel, keys) in self.to.keys.chunks_exact(groups).enumerate() {
            let sums = isa.tile::<R>(query, size, keys);
            let columns = panel * COLUMNS..(panel + 1) * COLUMNS;
            let (key_scales, key_shifts) = (&self.to.key_scales[columns.clone()], &self.to.key_shifts[columns]);
            for (row, sums) in sums.iter().enumerate() {
                let scores = &mut scores[row * padded + panel * COLUMNS..][..COLUMNS];
                for c in 0..COLUMNS {
                    scores[c] = I::mul_add(sums[c] as f32, key_scales[c], zeros[row] * key_shifts[c]);
                }
            }
        }
        scales
    }
}

/// What a high byte counts.
const STEPS: f32 = 256.0;

/// Bytes of a quantised query.
fn size_of_query<I: Isa>() -> usize {
    if I::WORDS { 2 * COLUMNS } else { COLUMNS }
}

/// The softmax of scores that still lack a scale, as numbers of two bytes of which the largest is the
/// largest there is: `out` gets the high bytes, then the low ones, or words. Returns their sum.
#[inline(always)]
fn weigh<I: Isa>(scores: &[f32], scale: f32, out: &mut [u8]) -> f32 {
    let most = if I::WORDS { largest_word(scores.len()) as f32 } else { STEPS * STEPS - 1.0 };
    let scale = scale * std::f32::consts::LOG2_E;
    let offset = most.log2() - maximum(scores) * scale;
    let weight = |score| nearest(smaller(exp2_roughly::<I>(I::mul_add(score, scale, offset)), most));
    // The compiler keeps the sums in memory: with those of a whole panel, none waits for the one before.
    let mut totals = [0i32; COLUMNS];
    let panels = scores.as_chunks::<COLUMNS>().0.iter();
    if I::WORDS {
        for (scores, words) in panels.zip(out.as_chunks_mut::<2>().0.as_chunks_mut::<COLUMNS>().0) {
            for lane in 0..COLUMNS {
                let weight = weight(scores[lane]);
                totals[lane] += weight;
                words[lane] = (weight as i16).to_le_bytes();
            }
        }
    } else {
        let (high, low) = out.split_at_mut(scores.len());
        let bytes = high.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(low.as_chunks_mut::<COLUMNS>().0);
        for (scores, (high, low)) in panels.zip(bytes) {
            for lane in 0..COLUMNS {
                let weight = weight(scores[lane]);
                totals[lane] += weight;
                high[lane] = (weight >> 8) as u8;
                low[lane] = weight as u8;
            }
        }
    }
    totals.iter().sum::<i32>() as f32
}
