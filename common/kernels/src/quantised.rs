//! Activations as bytes, with a scale and a zero point for each row.
//!
//! A value far from the others leaves few steps for them. Where that costs too much, a row has two
//! bytes a value, and the products are two: it is "fine". Where a path has words for activations, every
//! row is.

use crate::{
    functions::{larger, maximum, minimum, nearest, smaller, sum_of},
    isa::{Isa, Work, dispatch},
    packed::LARGEST,
    path::Kernels,
    rows::Rows,
};

/// Rows of unsigned bytes: value = scale · (byte - zero), or of two bytes that are one number. In words,
/// zero is 0.
#[derive(Debug)]
pub struct Quantised {
    /// Values of a row.
    pub(crate) width: usize,
    /// The width, filled up to a multiple of four.
    stride: usize,
    /// One, or two: the high bytes of a row, then the low ones.
    planes: usize,
    pub(crate) values: Vec<u8>,
    pub(crate) scales: Vec<f32>,
    pub(crate) zeros: Vec<i32>,
    /// A row between its norm and its bytes.
    row: Vec<f32>,
}

/// Layer normalisation (Ba et al., 2016).
#[derive(Debug, Clone)]
pub struct Norm {
    /// Factor of each value.
    pub weight: Vec<f32>,
    /// What is added to each value.
    pub bias: Vec<f32>,
    /// What keeps the variance from zero.
    pub epsilon: f32,
}

impl Quantised {
    /// No rows yet, of one byte a value.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self::with(width, 1)
    }

    /// No rows yet, of two bytes a value.
    #[must_use]
    pub fn fine(width: usize) -> Self {
        Self::with(width, 2)
    }

    fn with(width: usize, planes: usize) -> Self {
        let (stride, row) = (width.next_multiple_of(4), vec![0.0; width]);
        Self { width, stride, planes, values: Vec::new(), scales: Vec::new(), zeros: Vec::new(), row }
    }

    /// Rows that it holds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Bytes of a plane, and planes of a row.
    #[inline(always)]
    pub(crate) fn layout<I: Isa>(&self) -> (usize, usize) {
        if I::WORDS { (2 * self.stride, 1) } else { (self.stride, self.planes) }
    }

    /// Forgets the rows, not the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.scales.clear();
        self.zeros.clear();
    }
}

impl Kernels {
    /// Adds the first rows of a matrix, so many.
    ///
    /// # Panics
    /// If they have another width, or there are fewer.
    pub fn quantise(self, rows: Rows<'_>, count: usize, to: &mut Quantised) {
        dispatch(self.path(), Fill { rows, count, norm: None, to });
    }

    /// Adds rows that are normalised first.
    ///
    /// # Panics
    /// If a row or the norm has another width, or there are fewer rows.
    pub fn norm_quantise(self, rows: Rows<'_>, count: usize, norm: &Norm, to: &mut Quantised) {
        dispatch(self.path(), Fill { rows, count, norm: Some(norm), to });
    }
}

struct Fill<'a> {
    rows: Rows<'a>,
    count: usize,
    norm: Option<&'a Norm>,
    to: &'a mut Quantised,
}

impl Work for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { rows, count, norm, to } = self;
        assert_eq!(rows.width, to.width, "values of a row");
        let (size, planes) = to.layout::<I>();
        for row in (0..count).map(|at| rows.row(at)) {
            let start = to.values.len();
            to.values.resize(start + planes * size, 0);
            let row = match norm {
                None => row,
                Some(norm) => {
                    normalise::<I>(row, norm, &mut to.row);
                    &to.row
                }
            };
            let (high, low) = to.values[start..].split_at_mut(size);
            let (scale, zero) = if planes == 1 { quantise::<I>(row, high) } else { quantise_fine::<I>(row, high, low) };
            to.scales.push(scale);
            to.zeros.push(zero);
        }
    }
}

/// Writes a row as bytes, or as words; returns its scale and its zero point.
#[inline(always)]
pub(crate) fn quantise<I: Isa>(row: &[f32], out: &mut [u8]) -> (f32, i32) {
    if I::WORDS {
        return (quantise_words::<I>(row, out), 0);
    }
    let grid = Grid::of(row, 255.0);
    for (out, value) in out.iter_mut().zip(row) {
        *out = grid.place::<I>(*value) as u8;
    }
    (grid.scale, grid.zero as i32)
}

/// The same as numbers of two bytes.
#[inline(always)]
fn quantise_fine<I: Isa>(row: &[f32], high: &mut [u8], low: &mut [u8]) -> (f32, i32) {
    let grid = Grid::of(row, 65_535.0);
    for ((high, low), value) in high.iter_mut().zip(low).zip(row) {
        let place = grid.place::<I>(*value);
        *high = (place >> 8) as u8;
        *low = place as u8;
    }
    (grid.scale, grid.zero as i32)
}

/// The same as words, whose products with weights add up to 32 bits at most.
#[inline(always)]
fn quantise_words<I: Isa>(row: &[f32], out: &mut [u8]) -> f32 {
    let levels = largest_word(row.len()) as f32;
    let scale = larger(larger(maximum(row), -minimum(row)) / levels, f32::MIN_POSITIVE);
    let inverse = scale.recip();
    for (out, value) in out.as_chunks_mut::<2>().0.iter_mut().zip(row) {
        *out = (nearest(smaller(larger(value * inverse, -levels), levels)) as i16).to_le_bytes();
    }
    scale
}

/// The largest word of which so many, times the largest weight, are below 2^31.
#[inline(always)]
pub(crate) fn largest_word(count: usize) -> i32 {
    (i32::MAX / (LARGEST as i32) / (count.max(1) as i32)).min(i32::from(i16::MAX))
}

/// The whole numbers that stand for values of a row.
struct Grid {
    scale: f32,
    inverse: f32,
    zero: f32,
    levels: f32,
}

impl Grid {
    /// From the least value to the largest. Zero is among the values, so that it comes out as zero.
    #[inline(always)]
    fn of(row: &[f32], levels: f32) -> Self {
        // One after the other: of both in one loop the compiler makes shuffles, which take ten times as long.
        let (low, high) = (smaller(minimum(row), 0.0), larger(maximum(row), 0.0));
        let scale = larger((high - low) / levels, f32::MIN_POSITIVE);
        let inverse = scale.recip();
        Self { scale, inverse, zero: nearest(-low * inverse) as f32, levels }
    }

    #[inline(always)]
    fn place<I: Isa>(&self, value: f32) -> i32 {
        nearest(smaller(larger(I::mul_add(value, self.inverse, self.zero), 0.0), self.levels))
    }
}

#[inline(always)]
pub(crate) fn normalise<I: Isa>(row: &[f32], norm: &Norm, out: &mut [f32]) {
    assert!(
        row.len() == out.len() && row.len() == norm.weight.len() && row.len() == norm.bias.len(),
        "width of a norm"
    );
    let count = row.len() as f32;
    let mean = sum_of(row, row, |value, _, sum| sum + value) / count;
    let square = |value: f32, _, sum| {
        let away = value - mean;
        I::mul_add(away, away, sum)
    };
    let inverse = (sum_of(row, row, square) / count + norm.epsilon).sqrt().recip();
    for (((out, value), weight), bias) in out.iter_mut().zip(row).zip(&norm.weight).zip(&norm.bias) {
        *out = I::mul_add((value - mean) * inverse, *weight, *bias);
    }
}
