//! When each token was said: what the decoder's attention tells of it.
//!
//! Some heads look at the sound that the next word stands for. Their weights, token after token, are
//! laid along the time by dynamic time warping (Sakoe and Chiba, 1978), as `openai/whisper` does for
//! its word times.

/// Positions over which the weights are smoothed, as there: 140 ms.
const SMOOTH: usize = 7;

/// To what the tokens of a window have listened.
#[derive(Debug, Clone, Default)]
pub(super) struct Attention {
    /// For each token, as it was chosen, and each alignment head: a weight for each position.
    rows: Vec<Vec<Vec<f32>>>,
}

/// A table, row after row.
struct Table {
    values: Vec<f32>,
    width: usize,
}

impl Attention {
    /// Adds the weights by which a token was chosen, of all alignment heads.
    pub(super) fn push(&mut self, weights: Vec<Vec<f32>>) {
        self.rows.push(weights);
    }

    /// The position at which each token begins, of so many that hold sound; none without heads.
    pub(super) fn begins(&self, positions: usize) -> Vec<usize> {
        let heads = self.rows.first().map_or(0, Vec::len);
        let positions = positions.min(self.rows.first().and_then(|row| row.first()).map_or(0, Vec::len));
        if positions == 0 {
            return Vec::new();
        }
        let mut mean = Table { values: vec![0.0; self.rows.len() * positions], width: positions };
        for head in 0..heads {
            let mut table = self.of_head(head, positions);
            table.standardise();
            for (sum, row) in mean.values.chunks_mut(positions).zip(table.values.chunks(positions)) {
                smooth(row, sum);
            }
        }
        warp(&mean)
    }

    /// The weights of one head, as if there were no further positions.
    fn of_head(&self, head: usize, positions: usize) -> Table {
        let mut values = Vec::with_capacity(self.rows.len() * positions);
        for row in &self.rows {
            let row = &row[head][..positions];
            let scale = row.iter().sum::<f32>().max(f32::MIN_POSITIVE).recip();
            values.extend(row.iter().map(|weight| weight * scale));
        }
        Table { values, width: positions }
    }
}

impl Table {
    /// Each position by the mean and the deviation of what all tokens gave to it: what all of them look
    /// at tells nothing.
    fn standardise(&mut self) {
        let share = ((self.values.len() / self.width) as f32).recip();
        let (mut means, mut squares) = (vec![0f32; self.width], vec![0f32; self.width]);
        for row in self.values.chunks(self.width) {
            means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value * share);
        }
        for row in self.values.chunks(self.width) {
            let pairs = squares.iter_mut().zip(row).zip(&means);
            pairs.for_each(|((square, value), mean)| *square += (value - mean) * (value - mean) * share);
        }
        // Where all give the same, the rounding of their sum is no difference.
        let scale = |(square, mean): (&f32, &f32)| square.sqrt().max(1e-3 * mean).max(f32::MIN_POSITIVE).recip();
        let scales: Vec<f32> = squares.iter().zip(&means).map(scale).collect();
        for row in self.values.chunks_mut(self.width) {
            for ((value, mean), scale) in row.iter_mut().zip(&means).zip(&scales) {
                *value = (*value - mean) * scale;
            }
        }
    }
}

/// Adds the running median; beyond the ends the row goes on as in a mirror.
fn smooth(row: &[f32], out: &mut [f32]) {
    const HALF: usize = SMOOTH / 2;
    if row.len() <= HALF {
        out.iter_mut().zip(row).for_each(|(out, value)| *out += value);
        return;
    }
    let before = row[1..=HALF].iter().rev();
    let after = row[row.len() - 1 - HALF..row.len() - 1].iter().rev();
    let padded: Vec<f32> = before.chain(row).chain(after).copied().collect();
    for (out, first) in out.chunks_mut(LANES).zip((0..).step_by(LANES)) {
        let mut seven = [[0.0; LANES]; SMOOTH];
        for (shift, values) in seven.iter_mut().enumerate() {
            values[..out.len()].copy_from_slice(&padded[first + shift..][..out.len()]);
        }
        out.iter_mut().zip(medians(seven)).for_each(|(out, median)| *out += median);
    }
}

/// Medians that are found side by side.
const LANES: usize = 16;

/// The exchanges that bring the median of seven values to their middle, without a branch, so that the
/// compiler makes vectors of them.
const EXCHANGES: [(usize, usize); 13] =
    [(0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)];

#[inline(always)]
fn medians(mut values: [[f32; LANES]; SMOOTH]) -> [f32; LANES] {
    for (a, b) in EXCHANGES {
        let (one, other) = (values[a], values[b]);
        // Not `min` and `max`, which look for NaN, too.
        values[a] = std::array::from_fn(|lane| if other[lane] < one[lane] { other[lane] } else { one[lane] });
        values[b] = std::array::from_fn(|lane| if other[lane] < one[lane] { one[lane] } else { other[lane] });
    }
    values[SMOOTH / 2]
}

/// A step of the path through the table, back to where it came from.
#[derive(Clone, Copy)]
enum Step {
    Both,
    Token,
    Position,
}

/// The column at which the path of the largest sum from the first corner to the last enters each row.
fn warp(table: &Table) -> Vec<usize> {
    let width = table.width;
    let mut steps = Vec::with_capacity(table.values.len());
    let (mut above, mut sums) = (vec![0.0; width], vec![0.0; width]);
    for (row, values) in table.values.chunks(width).enumerate() {
        for (column, value) in values.iter().enumerate() {
            let of = |sums: &[f32], back: usize| column.checked_sub(back).map_or(0.0, |column| sums[column]);
            let (both, up, left) = (of(&above, 1), of(&above, 0), of(&sums, 1));
            let (best, step) = match (row, column) {
                (0, _) => (left, Step::Position),
                (_, 0) => (up, Step::Token),
                _ if both > up && both > left => (both, Step::Both),
                _ if up > left => (up, Step::Token),
                _ => (left, Step::Position),
            };
            sums[column] = best + value;
            steps.push(step);
        }
        std::mem::swap(&mut above, &mut sums);
    }
    let rows = steps.len() / width;
    let mut begins = vec![0; rows];
    let (mut row, mut column) = (rows - 1, width - 1);
    loop {
        begins[row] = column;
        if row + column == 0 {
            return begins;
        }
        match steps[row * width + column] {
            Step::Both => (row, column) = (row - 1, column - 1),
            Step::Token => row -= 1,
            Step::Position => column -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens that listen to one position each, with a second head that always listens to the first.
    fn listening(places: &[usize], positions: usize) -> Attention {
        let mut attention = Attention::default();
        for place in places {
            let mut weights = vec![0.01; positions];
            // A single position would be smoothed away.
            weights[place.saturating_sub(2)..(place + 3).min(positions)].fill(0.2);
            let mut idle = vec![0.01; positions];
            idle[0] = 0.9;
            attention.push(vec![weights, idle]);
        }
        attention
    }

    #[test]
    fn tokens_begin_about_where_they_listen() {
        let places = [4, 20, 22, 50, 90];
        let begins = listening(&places, 100).begins(100);
        assert_eq!(begins[0], 0);
        for (begin, pair) in begins[1..].iter().zip(places.windows(2)) {
            assert!((pair[0]..=pair[1] + 2).contains(begin), "{begins:?}");
        }
        assert!(begins.is_sorted());
    }

    #[test]
    fn what_lies_behind_the_sound_is_not_looked_at() {
        let begins = listening(&[4, 20, 90], 100).begins(40);
        assert!(begins.iter().all(|begin| *begin < 40), "{begins:?}");
    }

    #[test]
    fn a_table_of_any_size_has_a_path() {
        for (tokens, positions) in [(1, 1), (1, 9), (9, 1), (3, 2), (5, 5)] {
            let places: Vec<usize> = (0..tokens).map(|at| at % positions).collect();
            let begins = listening(&places, positions).begins(positions);
            assert_eq!(begins.len(), tokens);
            assert!(begins.is_sorted() && begins[0] == 0, "{begins:?}");
        }
        assert!(Attention::default().begins(10).is_empty());
        assert!(Attention { rows: vec![Vec::new()] }.begins(10).is_empty());
        assert!(listening(&[1, 2], 9).begins(0).is_empty());
    }

    #[test]
    fn the_exchanges_find_the_median() {
        // What sorts all rows of zeros and ones sorts everything (the zero-one principle, Knuth).
        for bits in 0..1 << SMOOTH {
            let values: [f32; SMOOTH] = std::array::from_fn(|at| (bits >> at & 1) as f32);
            let ones = values.iter().filter(|value| **value == 1.0).count();
            let found = medians(values.map(|value| [value; LANES]));
            assert_eq!(found, [if ones > SMOOTH / 2 { 1.0 } else { 0.0 }; LANES], "{bits:b}");
        }
    }

    #[test]
    fn weights_that_are_no_numbers_do_no_harm() {
        let begins = Attention { rows: vec![vec![vec![f32::NAN; 10]]; 4] }.begins(10);
        assert!(begins.iter().all(|begin| *begin < 10), "{begins:?}");
    }
}
