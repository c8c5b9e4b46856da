//! Six rows by 64 columns in 24 registers of 512 bits, four products and their sum at once.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_storeu_si512,
};

use super::avx512_floats;
use super::{COLUMNS, Isa, Sums, Work, assert_whole};
use crate::{
    floats::{Bf16, FloatSums, LINE, Line, Windows},
    packed::Group,
};

/// Made by [`run`] alone, and by [`run_bf16`] with evidence of its instruction.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const BF16: bool>(());

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    work.run(Avx512::<false>(()))
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
pub(super) fn run_bf16<W: Work>(work: W) -> W::Output {
    work.run(Avx512::<true>(()))
}

impl<const BF16: bool> Isa for Avx512<BF16> {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn nearest(self, values: &[f32; LINE]) -> [Bf16; LINE] {
        if BF16 {
            // SAFETY: `self` shows that the instruction is there.
            unsafe { avx512_floats::nearest(values) }
        } else {
            values.map(Bf16::nearest)
        }
    }

    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R> {
        assert_whole::<Self>(rows, stride, R, panel);
        // SAFETY: `self` shows that the instructions are there, and the rows have just been measured.
        unsafe { tile(rows.as_ptr(), stride, panel) }
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
        unsafe { avx512_floats::floats(rows, panel, out) }
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
        unsafe {
            if BF16 {
                avx512_floats::halves(rows, panel, out)
            } else {
                avx512_floats::halves_as_floats(rows, panel, out)
            }
        }
    }
}

/// # Safety
/// R rows, `stride` bytes apart, must be readable as far as the panel goes: four bytes for a group.
#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(clippy::needless_range_loop, reason = "with iterators the sums do not stay in registers")]
unsafe fn tile<const R: usize>(rows: *const u8, stride: usize, panel: &[Group]) -> Sums<R> {
    let mut sums = [[_mm512_setzero_si512(); 4]; R];
    for (at, group) in panel.iter().enumerate() {
        let group = group.0.as_ptr();
        if R <= 2 {
            fetch(group.wrapping_add(AHEAD * size_of::<Group>()));
        }
        let mut weights = [_mm512_setzero_si512(); 4];
        for part in 0..4 {
            // SAFETY: a group has 256 bytes and begins at a multiple of 64.
            weights[part] = unsafe { _mm512_load_si512(group.add(64 * part).cast()) };
        }
        for row in 0..R {
            // SAFETY: the caller vouches for the rows.
            let four = unsafe { rows.add(row * stride + 4 * at).cast::<i32>().read_unaligned() };
            let four = _mm512_set1_epi32(four);
            for part in 0..4 {
                sums[row][part] = _mm512_dpbusd_epi32(sums[row][part], four, weights[part]);
            }
        }
    }
    store(sums)
}

/// Groups of weights that are fetched before they are needed: a row or two wait for the memory that the weights come
/// from. Without, the product with Whisper's vocabulary takes 1.15 times as long (AMD EPYC of family 26).
const AHEAD: usize = 64;

/// Fetches a group; behind the last one is nothing, and this harms nobody.
#[inline(always)]
fn fetch(group: *const i8) {
    for part in 0..4 {
        // SAFETY: a prefetch reads nothing that the program could see, and does not fail on any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(group.wrapping_add(64 * part)) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const R: usize>(sums: [[__m512i; 4]; R]) -> Sums<R> {
    let mut out = [[0; COLUMNS]; R];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
            // SAFETY: sixteen numbers of four bytes are the 64 bytes that are written.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sum) };
        }
    }
    out
}
