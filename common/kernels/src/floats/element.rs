//! The two kinds of numbers that are multiplied: f32, and bf16 in pairs.

use super::{FloatSums, Windows};
use crate::{
    functions::{exp, exp2_roughly},
    isa::Isa,
};

/// Columns of a line: what a register of 512 bits holds of f32.
pub(crate) const LINE: usize = 16;

/// Columns of a panel of packed weights.
pub(crate) const PANEL: usize = 2 * LINE;

/// A word for each of 16 columns: an f32, or two bf16 that meet two values of a row.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [u32; LINE]);

/// The upper half of an f32: its range, and three digits.
#[derive(Debug, Clone, Copy, Default)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Bf16 {
    /// Zeros as the system gives them. The library does so for its own types alone.
    #[expect(unsafe_code, reason = "a vector of u16 becomes one of a type that is a u16")]
    pub(crate) fn zeros(length: usize) -> Vec<Self> {
        let (pointer, length, capacity) = vec![0_u16; length].into_raw_parts();
        // SAFETY: the type is transparent: size and alignment are those of a u16.
        unsafe { Vec::from_raw_parts(pointer.cast(), length, capacity) }
    }

    /// The nearest one, the even one of two.
    #[inline(always)]
    pub(crate) fn nearest(value: f32) -> Self {
        let bits = value.to_bits();
        // A NaN of which rounding would make an infinity keeps its upper bits.
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        let magnitude = bits & 0x7fff_ffff;
        let bits = if magnitude > 0x7f80_0000 { bits | 0x0040_0000 } else { rounded };
        Self((bits >> 16) as u16)
    }
}

/// What weights are stored as, and what activations are rounded to before they meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As exact as the sums.
    F32,
    /// Half the memory, and twice the speed where the CPU has an instruction for it.
    Bf16,
}

/// A kind of number, of which [`Precision`] chooses one.
pub(crate) trait Element: Copy + Default + Send + Sync + 'static {
    /// How many there are in four bytes.
    const VALUES: usize;

    fn of(value: f32) -> Self;

    /// Puts one of the values of a word of a line.
    fn put(word: &mut u32, at: usize, value: f32);

    /// `e^x` for `x <= 0`, exact enough to be rounded to such a number.
    fn exp<I: Isa>(x: f32) -> f32;

    /// Products of R rows with a panel of V lines.
    fn tile<I: Isa, const R: usize, const V: usize>(
        isa: I,
        rows: Windows<'_, Self>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    );
}

impl Element for f32 {
    const VALUES: usize = 1;

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn put(word: &mut u32, _: usize, value: f32) {
        *word = value.to_bits();
    }

    #[inline(always)]
    fn exp<I: Isa>(x: f32) -> f32 {
        exp::<I>(x)
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(
        isa: I,
        rows: Windows<'_, Self>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        isa.floats(rows, panel, out);
    }
}

impl Element for Bf16 {
    const VALUES: usize = 2;

    #[inline(always)]
    fn of(value: f32) -> Self {
        Self::nearest(value)
    }

    #[inline(always)]
    fn put(word: &mut u32, at: usize, value: f32) {
        *word |= u32::from(Self::nearest(value).0) << (16 * at);
    }

    #[inline(always)]
    fn exp<I: Isa>(x: f32) -> f32 {
        exp2_roughly::<I>(x * std::f32::consts::LOG2_E)
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(
        isa: I,
        rows: Windows<'_, Self>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        isa.halves(rows, panel, out);
    }
}
