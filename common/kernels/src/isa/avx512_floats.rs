//! Twelve rows by 32 columns of floats in 24 registers of 512 bits.

use std::arch::x86_64::{
    __m256bh, __m512, __m512bh, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cvtneps_pbh,
    _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_load_ps, _mm512_loadu_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_ps,
};

use crate::floats::{Bf16, FOUR, FloatSums, LINE, Line, Windows};

/// A tile for a kind of step: what becomes of sums, a word of a row and a line of weights.
macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $kind:ty, $features:literal, $step:ident) => {
        $(#[$doc])*
        /// # Safety
        /// [`Windows::assert_whole`] must have passed.
        #[target_feature(enable = $features)]
        #[allow(clippy::needless_range_loop, reason = "with iterators the sums do not stay in registers")]
        pub(super) unsafe fn $name<const R: usize, const V: usize>(
            rows: Windows<'_, $kind>,
            panel: &[[Line; V]],
            out: &mut FloatSums<R>,
        ) {
            let mut sums = [[_mm512_setzero_ps(); V]; R];
            let mut line = panel.as_ptr();
            for segment in 0..rows.segments {
                let first = rows.values.as_ptr().wrapping_add(segment * rows.pitch);
                // One pointer for four rows: twelve would not stay in registers.
                let mut fours = rows.starts.map(|start| first.wrapping_add(start));
                for _ in 0..rows.words {
                    let mut weights = [_mm512_setzero_ps(); V];
                    for part in 0..V {
                        // SAFETY: the panel has a line for each word, as was asserted.
                        weights[part] = unsafe { _mm512_load_ps((*line)[part].0.as_ptr().cast()) };
                    }
                    for row in 0..R {
                        // SAFETY: the rows reach as far as was asserted.
                        let word = unsafe { fours[row / FOUR].add(row % FOUR * rows.stride).cast::<u32>().read_unaligned() };
                        for part in 0..V {
                            sums[row][part] = $step(sums[row][part], word, weights[part]);
                        }
                    }
                    fours = fours.map(|at| at.cast::<u32>().wrapping_add(1).cast());
                    line = line.wrapping_add(1);
                }
            }
            store(sums, out);
        }
    };
}

tile!(floats, f32, "avx512f", step_float);
tile!(
    /// Two products and their sums at once.
    halves, Bf16, "avx512f,avx512bf16", step_pair
);
tile!(
    /// The same without the instruction for it.
    halves_as_floats, Bf16, "avx512f", step_two_floats
);

#[inline]
#[target_feature(enable = "avx512f")]
fn step_float(sum: __m512, word: u32, weights: __m512) -> __m512 {
    _mm512_fmadd_ps(_mm512_set1_ps(f32::from_bits(word)), weights, sum)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn step_pair(sum: __m512, word: u32, weights: __m512) -> __m512 {
    // SAFETY: both types are registers of 512 bits.
    let pairs = |bits| unsafe { std::mem::transmute::<_, __m512bh>(bits) };
    _mm512_dpbf16_ps(sum, pairs(_mm512_set1_epi32(word as i32)), pairs(_mm512_castps_si512(weights)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn step_two_floats(sum: __m512, word: u32, weights: __m512) -> __m512 {
    let bits = _mm512_castps_si512(weights);
    let low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits));
    let high = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32)));
    let sum = _mm512_fmadd_ps(_mm512_set1_ps(f32::from_bits(word << 16)), low, sum);
    _mm512_fmadd_ps(_mm512_set1_ps(f32::from_bits(word & 0xffff_0000)), high, sum)
}

/// Rounds to the nearest, the even one of two; what is too small for all its digits becomes zero. The compiler
/// makes gathers and single stores of the same in plain Rust, which take ten times as long.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn nearest(values: &[f32; LINE]) -> [Bf16; LINE] {
    // SAFETY: sixteen numbers of four bytes are the 64 bytes that are read.
    let values = unsafe { _mm512_loadu_ps(values.as_ptr()) };
    // SAFETY: both types are sixteen numbers of two bytes.
    unsafe { std::mem::transmute::<__m256bh, [Bf16; LINE]>(_mm512_cvtneps_pbh(values)) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const R: usize, const V: usize>(sums: [[__m512; V]; R], out: &mut FloatSums<R>) {
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.as_chunks_mut::<LINE>().0.iter_mut().zip(sums) {
            // SAFETY: sixteen numbers of four bytes are the 64 bytes that are written.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}
