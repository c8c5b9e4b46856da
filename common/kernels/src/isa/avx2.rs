//! Twelve sums in registers of 256 bits: six rows by 16 columns with AVX-VNNI, by eight without.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_dpbusd_avx_epi32, _mm256_hadd_epi32,
    _mm256_load_si256, _mm256_madd_epi16, _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::{COLUMNS, Isa, Sums, Work, assert_whole, avx2_floats};
use crate::{
    floats::{Bf16, FloatSums, Line, Windows},
    packed::Group,
};

/// Made by [`run`] alone, and by [`run_vnni`] with AVX-VNNI's product of bytes.
#[derive(Clone, Copy)]
pub(super) struct Avx2<const VNNI: bool>(());

#[target_feature(enable = "avx2,fma")]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    work.run(Avx2::<false>(()))
}

#[target_feature(enable = "avx2,fma,avxvnni")]
pub(super) fn run_vnni<W: Work>(work: W) -> W::Output {
    work.run(Avx2::<true>(()))
}

impl<const VNNI: bool> Isa for Avx2<VNNI> {
    /// Without AVX-VNNI the sum of two products of bytes must fit 16 bits, which leaves 7 bits to an activation, too
    /// few. `vpmaddwd` needs as many multiplications for numbers of 16 bits as `vpmaddubsw` and the sum of its pairs.
    const WORDS: bool = !VNNI;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R> {
        assert_whole::<Self>(rows, stride, R, panel);
        // SAFETY: `self` shows that the instructions are there, and the rows have just been measured.
        unsafe { if VNNI { tile_vnni(rows.as_ptr(), stride, panel) } else { tile(rows.as_ptr(), stride, panel) } }
    }

    #[inline(always)]
    fn floats<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, f32>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        rows.assert_whole(R, panel.len());
        // SAFETY: `self` shows that the instructions are there, and the rows have just been measured.
        unsafe { avx2_floats::floats(rows, panel, out) }
    }

    #[inline(always)]
    fn halves<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, Bf16>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        rows.assert_whole(R, panel.len());
        // SAFETY: as above.
        unsafe { avx2_floats::halves(rows, panel, out) }
    }
}

/// # Safety
/// R rows, `stride` bytes apart, must be readable as far as the panel goes: eight bytes for a group.
#[target_feature(enable = "avx2")]
unsafe fn tile<const R: usize>(rows: *const u8, stride: usize, panel: &[Group]) -> Sums<R> {
    let mut out = [[0; COLUMNS]; R];
    // SAFETY: the caller vouches for the rows.
    unsafe {
        match R {
            // As many columns as there are registers for: weights that come from afar are read in their order.
            1 => in_parts::<R, 8>(rows, stride, panel, &mut out),
            2 | 3 => in_parts::<R, 4>(rows, stride, panel, &mut out),
            _ => in_parts::<R, 2>(rows, stride, panel, &mut out),
        }
    }
    out
}

/// Four V columns at a time. A sum of four products is in two parts until the end.
///
/// # Safety
/// As for [`tile`].
#[inline]
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop, reason = "with iterators the sums do not stay in registers")]
unsafe fn in_parts<const R: usize, const V: usize>(rows: *const u8, stride: usize, panel: &[Group], out: &mut Sums<R>) {
    for first in (0..COLUMNS / 4).step_by(V) {
        let mut sums = [[_mm256_setzero_si256(); V]; R];
        for (at, group) in panel.iter().enumerate() {
            let mut weights = [_mm256_setzero_si256(); V];
            for part in 0..V {
                weights[part] = widened(group, first + part);
            }
            for row in 0..R {
                // SAFETY: the caller vouches for the rows.
                let four = unsafe { rows.add(row * stride + 8 * at).cast::<i64>().read_unaligned() };
                let four = _mm256_set1_epi64x(four);
                for part in 0..V {
                    let pairs = _mm256_madd_epi16(four, weights[part]);
                    sums[row][part] = _mm256_add_epi32(sums[row][part], pairs);
                }
            }
        }
        for row in 0..R {
            for part in (0..V).step_by(2) {
                let pairs = _mm256_hadd_epi32(sums[row][part], sums[row][part + 1]);
                let whole = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                store(&mut out[row..row + 1], 4 * (first + part), &[[whole]]);
            }
        }
    }
}

/// Four columns of a group as numbers of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn widened(group: &Group, four: usize) -> __m256i {
    // SAFETY: sixteen of the 256 bytes of a group.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(group.0.as_ptr().add(16 * four).cast()) })
}

/// # Safety
/// As for [`tile`].
#[target_feature(enable = "avx2,avxvnni")]
#[allow(clippy::needless_range_loop, reason = "with iterators the sums do not stay in registers")]
unsafe fn tile_vnni<const R: usize>(rows: *const u8, stride: usize, panel: &[Group]) -> Sums<R> {
    let mut out = [[0; COLUMNS]; R];
    for quarter in 0..4 {
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        for (at, group) in panel.iter().enumerate() {
            let weights = load(group, quarter);
            for row in 0..R {
                // SAFETY: the caller vouches for the rows.
                let four = unsafe { rows.add(row * stride + 4 * at).cast::<i32>().read_unaligned() };
                let four = _mm256_set1_epi32(four);
                for part in 0..2 {
                    sums[row][part] = _mm256_dpbusd_avx_epi32(sums[row][part], four, weights[part]);
                }
            }
        }
        store(&mut out, 16 * quarter, &sums);
    }
    out
}

/// Sixteen columns of a group.
#[inline]
#[target_feature(enable = "avx2")]
fn load(group: &Group, quarter: usize) -> [__m256i; 2] {
    // SAFETY: a quarter is 64 of the 256 bytes of a group, which begins at a multiple of 64.
    let load = |part| unsafe { _mm256_load_si256(group.0.as_ptr().add(64 * quarter + part).cast()) };
    [load(0), load(32)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn store<const V: usize>(out: &mut [[i32; COLUMNS]], column: usize, sums: &[[__m256i; V]]) {
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out[column..].as_chunks_mut::<8>().0.iter_mut().zip(sums) {
            // SAFETY: eight numbers of four bytes are the 32 bytes that are written.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), *sum) };
        }
    }
}
