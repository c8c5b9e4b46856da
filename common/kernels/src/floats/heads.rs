//! Attention by blocks of keys, whose scores never leave the cache (Dao et al., arXiv:2205.14135).

use rayon::prelude::*;

use super::{
    Bf16, Border, Buffer, Element, FloatSums, Grid, Heads, LINE, Line, Operand, PANEL, Precision, Windows, even,
    operand::{Words, put},
};
use crate::{
    functions::{exp, larger, maximum},
    isa::{Isa, Work, dispatch},
    path::Kernels,
};

/// Keys whose scores are made at once.
const KEYS: usize = 512;

/// Queries that meet a block of keys before the next one comes, and those of a tile.
const QUERIES: usize = 96;
const TILE: usize = 12;

impl Kernels {
    /// Packs keys and values (batch, tokens, heads · width).
    ///
    /// # Panics
    /// If the sizes do not fit.
    #[must_use]
    pub fn heads(
        self,
        precision: Precision,
        [keys, values]: [&[f32]; 2],
        [batch, tokens, heads, width]: [usize; 4],
    ) -> Heads {
        let count = batch * tokens * heads * width;
        assert!(keys.len() == count && values.len() == count && count > 0, "keys and values of an attention");
        let mut packed = Heads { precision, batch, heads, width, tokens, lines: Buffer::new(0) };
        let [key_lines, value_lines] = packed.sizes();
        let mut lines = Buffer::new(batch * heads * (key_lines + value_lines));
        lines.par_chunks_mut(key_lines + value_lines).enumerate().for_each(|(at, lines)| {
            let from = at / heads * tokens * heads * width + at % heads * width;
            let (key_part, value_part) = lines.split_at_mut(key_lines);
            let (keys, values) = (&keys[from..], &values[from..]);
            match precision {
                Precision::F32 => packed.pack::<f32>([keys, values], [key_part, value_part]),
                Precision::Bf16 => packed.pack::<Bf16>([keys, values], [key_part, value_part]),
            }
        });
        packed.lines = lines;
        packed
    }

    /// The means of the values, weighted by the softmax of the scores, for queries (batch, tokens, heads ·
    /// width) that carry the scale of the scores: an operand for the next product.
    ///
    /// # Panics
    /// If the sizes do not fit.
    #[must_use]
    pub fn attend_heads(self, (queries, grid): (&[f32], Grid), to: &Heads) -> Operand {
        let sizes = (grid.batch, grid.channels, queries.len());
        assert_eq!(sizes, (to.batch, to.heads * to.width, grid.len()), "sizes of an attention");
        let mut out = Operand::new(to.precision, grid, Border::NONE.into());
        match &mut out.words {
            Words::Floats(words) => self.attend_into(queries, grid, to, words),
            Words::Halves(words) => self.attend_into(queries, grid, to, words),
        }
        out
    }

    fn attend_into<E: Element>(self, queries: &[f32], grid: Grid, to: &Heads, out: &mut [E]) {
        let (tokens, channels) = (grid.height * grid.width, grid.channels);
        let pixel = channels.next_multiple_of(E::VALUES);
        let pictures = out.par_chunks_mut(tokens * pixel).zip(queries.par_chunks(tokens * channels)).enumerate();
        let together = tokens.div_ceil(rayon::current_num_threads()).next_multiple_of(TILE).min(QUERIES);
        pictures.for_each(|(picture, (out, queries))| {
            let blocks = out.par_chunks_mut(together * pixel).zip(queries.par_chunks(together * channels));
            blocks.for_each(|(out, queries)| {
                dispatch(self.path(), Attend { queries, to, picture, pixel, out });
            });
        });
    }
}

impl Heads {
    /// Keys lie as the weights of a product with queries, values as those of one with the softmax.
    fn pack<E: Element>(&self, [keys, values]: [&[f32]; 2], [key_lines, value_lines]: [&mut [Line]; 2]) {
        key_lines.fill(Line::default());
        value_lines.fill(Line::default());
        let (stride, words, parts) = (self.heads * self.width, self.words(), self.value_lines());
        for token in 0..self.tokens {
            let panel = &mut key_lines[token / PANEL * words * 2..];
            for (at, value) in keys[token * stride..][..self.width].iter().enumerate() {
                let line = &mut panel[at / E::VALUES * 2 + token % PANEL / LINE];
                E::put(&mut line.0[token % LINE], at % E::VALUES, *value);
            }
            let (block, within) = (token / KEYS, token % KEYS);
            let length = KEYS.min(self.padded() - block * KEYS) / E::VALUES;
            let first = block * KEYS / E::VALUES * parts;
            for (at, value) in values[token * stride..][..self.width].iter().enumerate() {
                let panel = at / PANEL;
                let word = first + panel * length * 2 + within / E::VALUES * 2.min(parts - 2 * panel);
                let line = &mut value_lines[word + at % PANEL / LINE];
                E::put(&mut line.0[at % LINE], within % E::VALUES, *value);
            }
        }
    }
}

/// Some queries of a picture, with all heads.
struct Attend<'a, E> {
    queries: &'a [f32],
    to: &'a Heads,
    picture: usize,
    /// Values of a row of the result.
    pixel: usize,
    out: &'a mut [E],
}

/// What is known of a head after some blocks of keys.
struct State<E> {
    /// The largest score of each query, and the sum of its weights.
    largest: Vec<f32>,
    total: Vec<f32>,
    /// The sums of the values, a row for each query and a panel after the other.
    sums: Vec<f32>,
    queries: Vec<E>,
    scores: Vec<f32>,
    weights: Vec<E>,
}

impl<E: Element> Work for Attend<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { queries, to, picture, pixel, out } = self;
        let (channels, width) = (to.heads * to.width, to.width);
        let count = queries.len() / channels;
        let (row, padded) = (width.next_multiple_of(E::VALUES), count.next_multiple_of(TILE));
        let sums = to.value_lines() * LINE;
        let mut state = State::<E> {
            largest: vec![0.0; padded],
            total: vec![0.0; padded],
            sums: vec![0.0; padded * sums],
            queries: vec![E::default(); padded * row],
            scores: vec![0.0; TILE * KEYS],
            weights: vec![E::default(); TILE * KEYS],
        };
        for head in 0..to.heads {
            state.largest.fill(f32::NEG_INFINITY);
            state.total.fill(0.0);
            state.sums.fill(0.0);
            for (to, from) in state.queries.chunks_exact_mut(row).zip(queries.chunks_exact(channels)) {
                put(isa, &from[head * width..(head + 1) * width], to, |value| value);
            }
            for block in (0..to.padded()).step_by(KEYS) {
                for tile in (0..padded).step_by(TILE) {
                    state.meet::<I>(isa, to, (picture, head), (block, tile));
                }
            }
            for (query, out) in out.chunks_exact_mut(pixel).enumerate() {
                let inverse = state.total[query].recip();
                let sums = &state.sums[query * sums..][..width];
                put(isa, sums, &mut out[head * width..(head + 1) * width], |sum| sum * inverse);
            }
        }
    }
}

impl<E: Element> State<E> {
    /// A tile of queries meets a block of keys.
    #[inline(always)]
    fn meet<I: Isa>(&mut self, isa: I, to: &Heads, (picture, head): (usize, usize), (block, tile): (usize, usize)) {
        let (keys, values) = to.head(picture, head);
        let length = KEYS.min(to.padded() - block);
        let seen = length.min(to.tokens - block);
        self.score::<I>(isa, &keys[block / PANEL * to.words() * 2..], (to, tile, length));
        for query in 0..TILE {
            let scores = &mut self.scores[query * KEYS..query * KEYS + length];
            scores[seen..].fill(f32::NEG_INFINITY);
            let before = self.largest[tile + query];
            let largest = larger(maximum(scores), before);
            let fade = if before == largest { 1.0 } else { exp::<I>(before - largest) };
            let weights = &mut self.weights[query * KEYS..query * KEYS + length];
            let total = weigh(isa, scores, largest, weights);
            self.largest[tile + query] = largest;
            self.total[tile + query] = I::mul_add(self.total[tile + query], fade, total);
            if fade != 1.0 {
                let size = to.value_lines() * LINE;
                self.sums[(tile + query) * size..][..size].iter_mut().for_each(|sum| *sum *= fade);
            }
        }
        let first = block / E::VALUES * to.value_lines();
        self.gather::<I>(isa, &values[first..], (to, tile, length));
    }

    #[inline(always)]
    fn score<I: Isa>(&mut self, isa: I, keys: &[Line], (to, tile, length): (&Heads, usize, usize)) {
        let (words, row) = (to.words(), to.width.next_multiple_of(E::VALUES));
        let rows = Windows {
            values: &self.queries[..],
            starts: even(tile * row, row),
            stride: row,
            segments: 1,
            pitch: 0,
            words,
        };
        let mut sums: FloatSums<TILE> = [[0.0; PANEL]; TILE];
        for panel in 0..length / PANEL {
            let lines = keys[panel * words * 2..][..words * 2].as_chunks::<2>().0;
            E::tile::<I, TILE, 2>(isa, rows, lines, &mut sums);
            for (query, sums) in sums.iter().enumerate() {
                self.scores[query * KEYS + panel * PANEL..][..PANEL].copy_from_slice(sums);
            }
        }
    }

    /// Adds the values, weighted.
    #[inline(always)]
    fn gather<I: Isa>(&mut self, isa: I, values: &[Line], (to, tile, length): (&Heads, usize, usize)) {
        let (words, parts) = (length / E::VALUES, to.value_lines());
        let rows =
            Windows { values: &self.weights[..], starts: even(0, KEYS), stride: KEYS, segments: 1, pitch: 0, words };
        let mut found: FloatSums<TILE> = [[0.0; PANEL]; TILE];
        for first in (0..parts).step_by(2) {
            let lines = &values[first * words..];
            let width = if first + 1 < parts {
                E::tile::<I, TILE, 2>(isa, rows, lines[..2 * words].as_chunks().0, &mut found);
                PANEL
            } else {
                E::tile::<I, TILE, 1>(isa, rows, lines[..words].as_chunks().0, &mut found);
                LINE
            };
            for (query, found) in found.iter().enumerate() {
                let sums = &mut self.sums[((tile + query) * parts + first) * LINE..][..width];
                sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
            }
        }
    }
}

/// The weights of a softmax that is not yet divided by its sum, which is returned.
#[inline(always)]
fn weigh<I: Isa, E: Element>(isa: I, scores: &[f32], largest: f32, weights: &mut [E]) -> f32 {
    let mut totals = [0f32; LINE];
    let blocks = scores.as_chunks::<LINE>().0.iter().zip(weights.as_chunks_mut::<LINE>().0);
    for (scores, weights) in blocks {
        let mut line = [0.0; LINE];
        for lane in 0..LINE {
            line[lane] = if scores[lane] == f32::NEG_INFINITY { 0.0 } else { E::exp::<I>(scores[lane] - largest) };
            totals[lane] += line[lane];
        }
        *weights = E::line(isa, &line);
    }
    totals.iter().sum()
}
