//! Attention of many queries to the same keys and values, all of them bytes.

use std::ops::Range;

use crate::{
    functions::{exp2_roughly, larger, maximum, nearest, smaller},
    isa::{COLUMNS, Isa, Work, dispatch},
    packed::{Group, groups_for},
    path::Kernels,
    quantised::quantise,
    rows::Rows,
};

/// Keys and values of one head. Keys lie as the weights of a product with a query do, values as those
/// of a product with the weights of the softmax.
#[derive(Debug, Default)]
pub struct KeysValues {
    length: usize,
    width: usize,
    /// Panels of 64 keys.
    keys: Vec<Group>,
    /// Of each key, filled up to whole panels.
    key_scales: Vec<f32>,
    key_sums: Vec<i32>,
    /// One panel: 64 values wide, as long as all panels of keys together.
    values: Vec<Group>,
    /// Of each value of a row.
    value_scales: Vec<f32>,
}

/// Memory for scores, which are looked at row by row and thrown away.
#[derive(Debug, Default)]
pub struct Scratch {
    scores: Vec<f32>,
    /// Of each query the high bytes, then the low ones: where attention is spread over many keys, each
    /// has a weight that is nothing beside the largest.
    weights: Vec<u8>,
    query: Vec<u8>,
    /// Where the weights of the last query begin, and how many keys there are.
    last: Range<usize>,
    /// What a high byte counts, and what all weights of the last query sum up to.
    last_scale: [f32; 2],
}

impl Scratch {
    /// The weights that the last query of the last call gave to the values: its softmax, one for each key.
    pub fn last_weights(&self) -> impl Iterator<Item = f32> {
        let [steps, total] = self.last_scale;
        let padded = self.last.len().next_multiple_of(COLUMNS);
        let (high, low) = (&self.weights[self.last.clone()], &self.weights[self.last.start + padded..]);
        high.iter().zip(low).map(move |(high, low)| (f32::from(*high) * steps + f32::from(*low)) / total)
    }
}

/// The most queries that share a pass over the keys.
const QUERIES: usize = 16;

/// A score that leaves no weight.
const NEVER: f32 = -1e30;

impl KeysValues {
    /// The widest head: a panel has as many columns.
    pub const MAX_WIDTH: usize = COLUMNS;

    fn padded(&self) -> usize {
        self.length.next_multiple_of(COLUMNS)
    }

    fn reset(&mut self, length: usize, width: usize) {
        (self.length, self.width) = (length, width);
        let (padded, groups) = (self.padded(), groups_for(width));
        for (all, count) in [(&mut self.keys, padded / COLUMNS * groups), (&mut self.values, padded / 4)] {
            all.clear();
            all.resize(count, Group::ZERO);
        }
        self.key_scales.clear();
        self.key_scales.resize(padded, 0.0);
        self.key_sums.clear();
        self.key_sums.resize(padded, 0);
        self.value_scales.clear();
        self.value_scales.resize(COLUMNS, 0.0);
    }
}

impl Kernels {
    /// Packs so many keys and values of a head, in place of those that were there.
    ///
    /// # Panics
    /// If the head is wider than [`KeysValues::MAX_WIDTH`], or keys and values differ in width.
    pub fn pack_head(self, keys: Rows<'_>, values: Rows<'_>, length: usize, to: &mut KeysValues) {
        assert!(keys.width == values.width && keys.width <= COLUMNS, "a head of {} values", keys.width);
        to.reset(length, keys.width);
        dispatch(self.path(), Pack { keys, values, to });
    }

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

struct Pack<'a> {
    keys: Rows<'a>,
    values: Rows<'a>,
    to: &'a mut KeysValues,
}

impl Work for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { keys, values, to } = self;
        pack_keys(keys, to);
        pack_values(values, to);
    }
}

/// The mean over all keys changes the scores of a query alike, and the softmax does not see it:
/// without it, the bytes are left for what differs.
#[inline(always)]
fn pack_keys(keys: Rows<'_>, to: &mut KeysValues) {
    let (length, width, groups) = (to.length, to.width, groups_for(to.width));
    let mut mean = [0f32; COLUMNS];
    for at in 0..length {
        mean.iter_mut().zip(keys.row(at)).for_each(|(mean, key)| *mean += key);
    }
    mean.iter_mut().for_each(|mean| *mean /= length as f32);
    for at in 0..length {
        let mut row = [0f32; COLUMNS];
        for ((row, key), mean) in row.iter_mut().zip(keys.row(at)).zip(&mean) {
            *row = key - mean;
        }
        let scale = larger(maximum(&row.map(f32::abs)) / 127.0, f32::MIN_POSITIVE);
        let inverse = scale.recip();
        let bytes = row.map(|value| nearest(value * inverse) as i8);
        let panel = &mut to.keys[at / COLUMNS * groups..][..groups];
        for (group, four) in panel.iter_mut().zip(bytes[..width.next_multiple_of(4)].as_chunks::<4>().0) {
            group.0.as_chunks_mut::<4>().0[at % COLUMNS] = *four;
        }
        to.key_scales[at] = scale;
        to.key_sums[at] = bytes.iter().map(|byte| i32::from(*byte)).sum();
    }
}

#[inline(always)]
fn pack_values(values: Rows<'_>, to: &mut KeysValues) {
    let mut largest = [0f32; COLUMNS];
    for at in 0..to.length {
        for (largest, value) in largest.iter_mut().zip(values.row(at)) {
            *largest = larger(value.abs(), *largest);
        }
    }
    let scales = largest.map(|largest| larger(largest / 127.0, f32::MIN_POSITIVE));
    let inverse = scales.map(f32::recip);
    to.value_scales.copy_from_slice(&scales);
    for (four, group) in to.values.iter_mut().take(to.length.div_ceil(4)).enumerate() {
        let columns = group.0.as_chunks_mut::<4>().0;
        for k in 0..4.min(to.length - 4 * four) {
            for ((column, value), inverse) in columns.iter_mut().zip(values.row(4 * four + k)).zip(&inverse) {
                column[k] = nearest(value * inverse) as i8;
            }
        }
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
        self.scratch.query.resize(QUERIES * COLUMNS, 0);
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
            let (high, low) = self.scratch.weights[row * 2 * padded..(row + 1) * 2 * padded].split_at_mut(padded);
            *total = weigh::<I>(scores, scales[row], high, low);
        }
        let last = (R - 1) * 2 * padded;
        self.scratch.last = last..last + to.length;
        self.scratch.last_scale = [f32::from(I::LEVELS) + 1.0, totals[R - 1]];
        let high = isa.tile::<R>(&self.scratch.weights, 2 * padded, &to.values);
        let low = isa.tile::<R>(&self.scratch.weights[padded..], 2 * padded, &to.values);
        for row in 0..R {
            let out = &mut self.out[(first + row) * width..(first + row + 1) * width];
            let inverse = totals[row].recip();
            for (c, out) in out.iter_mut().enumerate() {
                let sum = I::mul_add(high[row][c] as f32, f32::from(I::LEVELS) + 1.0, low[row][c] as f32);
                *out = sum * inverse * to.value_scales[c];
            }
        }
        R
    }

    /// Scores of R queries with all keys, without the scales of the queries, which are returned.
    #[inline(always)]
    fn score<I: Isa, const R: usize>(&mut self, isa: I, first: usize) -> [f32; R] {
        let (padded, groups) = (self.to.padded(), groups_for(self.to.width));
        let Scratch { scores, query, .. } = &mut *self.scratch;
        let (mut scales, mut zeros) = ([0f32; R], [0i32; R]);
        for row in 0..R {
            let bytes = &mut query[row * COLUMNS..(row + 1) * COLUMNS];
            (scales[row], zeros[row]) = quantise::<I>(self.queries.row(first + row), bytes);
        }
        for (panel, keys) in self.to.keys.chunks_exact(groups).enumerate() {
            let sums = isa.tile::<R>(query, COLUMNS, keys);
            let columns = panel * COLUMNS..(panel + 1) * COLUMNS;
            let (key_scales, key_sums) = (&self.to.key_scales[columns.clone()], &self.to.key_sums[columns]);
            for (row, sums) in sums.iter().enumerate() {
                let scores = &mut scores[row * padded + panel * COLUMNS..][..COLUMNS];
                for c in 0..COLUMNS {
                    scores[c] = (sums[c] - zeros[row] * key_sums[c]) as f32 * key_scales[c];
                }
            }
        }
        scales
    }
}

/// The softmax of scores that still lack a scale, as numbers of two bytes of which the largest is the
/// largest there is; returns their sum.
#[inline(always)]
fn weigh<I: Isa>(scores: &[f32], scale: f32, high: &mut [u8], low: &mut [u8]) -> f32 {
    let steps = f32::from(I::LEVELS) + 1.0;
    let most = steps * steps - 1.0;
    let scale = scale * std::f32::consts::LOG2_E;
    let offset = most.log2() - maximum(scores) * scale;
    // The compiler keeps the sums in memory: with those of a whole panel, none waits for the one before.
    let mut totals = [0i32; COLUMNS];
    let bytes = high.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(low.as_chunks_mut::<COLUMNS>().0);
    for (scores, (high, low)) in scores.as_chunks::<COLUMNS>().0.iter().zip(bytes) {
        for lane in 0..COLUMNS {
            let weight = exp2_roughly::<I>(I::mul_add(scores[lane], scale, offset));
            let weight = nearest(smaller(weight, most));
            totals[lane] += weight;
            high[lane] = (weight >> I::LEVELS.count_ones()) as u8;
            low[lane] = (weight & i32::from(I::LEVELS)) as u8;
        }
    }
    totals.iter().sum::<i32>() as f32
}
