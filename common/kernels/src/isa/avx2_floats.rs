//! Six rows by 16 columns of floats in twelve registers of 256 bits.

use std::arch::x86_64::{
    __m256, _mm256_and_si256, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_load_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
};

use crate::floats::{Bf16, FloatSums, LINE, Line, Windows};

/// Rows whose sums with a line fit the registers.
const ROWS: usize = 6;

/// A tile for a kind of step, as with registers of 512 bits.
macro_rules! tile {
    ($name:ident, $kind:ty, $step:ident) => {
        /// # Safety
        /// [`Windows::assert_whole`] must have passed.
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $name<const R: usize, const V: usize>(
            rows: Windows<'_, $kind>,
            panel: &[[Line; V]],
            out: &mut FloatSums<R>,
        ) {
            for part in 0..V {
                let mut first = 0;
                while first < R {
                    let count = ROWS.min(R - first);
                    let place = (first, part);
                    // SAFETY: the caller vouches for all rows.
                    unsafe {
                        match count {
                            6 => block::<6, R, V>(rows, panel, place, out),
                            4 => block::<4, R, V>(rows, panel, place, out),
                            2 => block::<2, R, V>(rows, panel, place, out),
                            _ => block::<1, R, V>(rows, panel, place, out),
                        }
                    }
                    first += if matches!(count, 6 | 4 | 2) { count } else { 1 };
                }
            }

            /// # Safety
            /// As above, for the rows of the block.
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::needless_range_loop, reason = "with iterators the sums do not stay in registers")]
            unsafe fn block<const B: usize, const R: usize, const V: usize>(
                rows: Windows<'_, $kind>,
                panel: &[[Line; V]],
                (first, part): (usize, usize),
                out: &mut FloatSums<R>,
            ) {
                let mut sums = [[_mm256_setzero_ps(); 2]; B];
                let mut lines = panel.iter();
                for segment in 0..rows.segments {
                    let start = rows.values.as_ptr().wrapping_add(segment * rows.pitch);
                    let starts: [_; B] = std::array::from_fn(|row| start.wrapping_add(rows.row(first + row)));
                    for (word, line) in (0..rows.words).zip(&mut lines) {
                        let weights = [load(&line[part], 0), load(&line[part], 8)];
                        for row in 0..B {
                            let at = starts[row].cast::<u32>().wrapping_add(word);
                            // SAFETY: the rows reach as far as was asserted.
                            let word = unsafe { at.read_unaligned() };
                            for half in 0..2 {
                                sums[row][half] = $step(sums[row][half], word, weights[half]);
                            }
                        }
                    }
                }
                for (out, sums) in out[first..].iter_mut().zip(sums) {
                    let line = &mut out[LINE * part..];
                    for (out, sum) in line.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
                        // SAFETY: eight numbers of four bytes are the 32 bytes that are written.
                        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
                    }
                }
            }
        }
    };
}

tile!(floats, f32, step_float);
tile!(halves, Bf16, step_two_floats);

#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line, from: usize) -> __m256 {
    // SAFETY: each half is 32 of the 64 bytes of a line, which begins at a multiple of 64.
    unsafe { _mm256_load_ps(line.0.as_ptr().add(from).cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step_float(sum: __m256, word: u32, weights: __m256) -> __m256 {
    _mm256_fmadd_ps(_mm256_set1_ps(f32::from_bits(word)), weights, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step_two_floats(sum: __m256, word: u32, weights: __m256) -> __m256 {
    let bits = _mm256_castps_si256(weights);
    let low = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits));
    let high = _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32)));
    let sum = _mm256_fmadd_ps(_mm256_set1_ps(f32::from_bits(word << 16)), low, sum);
    _mm256_fmadd_ps(_mm256_set1_ps(f32::from_bits(word & 0xffff_0000)), high, sum)
}
