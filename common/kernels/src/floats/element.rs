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
    /// The nearest one, the even one of two. What is too small for all its digits becomes zero, as the
    /// instructions have it.
    #[inline(always)]
    pub(crate) fn nearest(value: f32) -> Self {
        let bits = value.to_bits();
        // A NaN of which rounding would make an infinity keeps its upper bits.
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        let magnitude = bits & 0x7fff_ffff;
        let rounded = if magnitude < 0x0080_0000 { bits & 0x8000_0000 } else { rounded };
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

    /// The same for a line.
    fn line<I: Isa>(isa: I, values: &[f32; LINE]) -> [Self; LINE];

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
    fn line<I: Isa>(_: I, values: &[f32; LINE]) -> [Self; LINE] {
        *values
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
    fn line<I: Isa>(isa: I, values: &[f32; LINE]) -> [Self; LINE] {
        isa.nearest(values)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        isa::{Work, dispatch},
        path::Kernels,
    };

    struct Nearest([f32; LINE]);

    impl Work for Nearest {
        type Output = [Bf16; LINE];

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            Bf16::line(isa, &self.0)
        }
    }

    #[test]
    fn every_path_rounds_to_the_same_bits() {
        let mut bits = 0x0000_0001_u32;
        for _ in 0..20_000 {
            let values = [(); LINE].map(|()| {
                bits = bits.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
                f32::from_bits(bits)
            });
            let expected = values.map(|value| Bf16::nearest(value).0);
            for kernels in Kernels::available() {
                let found = dispatch(kernels.path(), Nearest(values)).map(|half| half.0);
                assert_eq!(found, expected, "{} {values:?}", kernels.path());
            }
        }
        let nearest = |value: f32| Bf16::nearest(value).0;
        assert_eq!([1.0, -2.0, f32::INFINITY, 1e-40, -1e-40].map(nearest), [0x3f80, 0xc000, 0x7f80, 0, 0x8000]);
        // Halfway to the next: the even one. The largest becomes infinite.
        assert_eq!(
            [0x3f80_8000, 0x3f81_8000, 0x7f7f_ffff, 0x7f80_0001].map(|bits| nearest(f32::from_bits(bits))),
            [0x3f80, 0x3f82, 0x7f80, 0x7fc0]
        );
    }
}
