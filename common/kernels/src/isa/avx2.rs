//! Six rows by 16 columns in twelve registers of 256 bits, four times for a panel; without AVX-VNNI, three rows.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_dpbusd_avx_epi32, _mm256_load_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256,
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
    /// Without AVX-VNNI the sum of two products of bytes must fit 16 bits: 2 · 127 · 127 does, 2 · 255 · 127
    /// does not.
    const LEVELS: u8 = if VNNI { u8::MAX } else { 127 };

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R> {
        assert_whole(rows, stride, R, panel);
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

/// Rows whose sums stay in registers without AVX-VNNI: a factor, a row and an interim result need some, too. With
/// six, the compiler keeps a sum in memory, and a tile takes 1.6 times as long (AMD EPYC of family 26).
const AT_ONCE: usize = 3;

/// # Safety
/// R rows, `stride` bytes apart, must be readable as far as the panel goes: four bytes for a group.
#[target_feature(enable = "avx2")]
unsafe fn tile<const R: usize>(rows: *const u8, stride: usize, panel: &[Group]) -> Sums<R> {
    let mut out = [[0; COLUMNS]; R];
    for quarter in 0..4 {
        for (at, out) in out.chunks_mut(AT_ONCE).enumerate() {
            // SAFETY: the caller vouches for the rows, and these are some of them.
            unsafe {
                let rows = rows.add(at * AT_ONCE * stride);
                match out.len() {
                    AT_ONCE => some_rows::<AT_ONCE>((rows, stride), panel, quarter, out),
                    2 => some_rows::<2>((rows, stride), panel, quarter, out),
                    _ => some_rows::<1>((rows, stride), panel, quarter, out),
                }
            }
        }
    }
    out
}

/// # Safety
/// As for [`tile`], of N rows.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop, reason = "with iterators the sums do not stay in registers")]
unsafe fn some_rows<const N: usize>(
    (rows, stride): (*const u8, usize),
    panel: &[Group],
    quarter: usize,
    out: &mut [[i32; COLUMNS]],
) {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; N];
    for (at, group) in panel.iter().enumerate() {
        let weights = load(group, quarter);
        for row in 0..N {
            // SAFETY: the caller vouches for the rows.
            let four = unsafe { rows.add(row * stride + 4 * at).cast::<i32>().read_unaligned() };
            let four = _mm256_set1_epi32(four);
            for part in 0..2 {
                let pairs = _mm256_maddubs_epi16(four, weights[part]);
                sums[row][part] = _mm256_add_epi32(sums[row][part], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    store(out, quarter, &sums);
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
        store(&mut out, quarter, &sums);
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
fn store(out: &mut [[i32; COLUMNS]], quarter: usize, sums: &[[__m256i; 2]]) {
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out[16 * quarter..].as_chunks_mut::<8>().0.iter_mut().zip(sums) {
            // SAFETY: eight numbers of four bytes are the 32 bytes that are written.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), *sum) };
        }
    }
}
