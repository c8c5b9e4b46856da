//! Products of bytes and of bf16 in AMX's tiles. All else, and what fills no tile, is AVX-512's.
//!
//! A tile has sixteen rows of 64 bytes. Packed weights lie as the instructions want them: sixteen groups of
//! bytes are four tiles beside each other, sixteen steps of a panel of bf16 are two. Source: Intel 64 and IA-32 Architectures Software Developer's Manual,
//! chapter "Programming with Intel AMX".

use std::arch::asm;

use super::{COLUMNS, Isa, Sums, Work, amx_state::Tiles, assert_whole, avx512};
use crate::{
    floats::{Bf16, FOUR, FloatSums, LINE, Line, PANEL, Windows, even},
    packed::Group,
};

/// Rows of a tile.
const ROWS: usize = 16;

/// Groups of bytes, or words of two bf16, that are the 64 bytes of a row in a tile.
const STEPS: usize = 16;

/// Rows of bytes that AVX-512 keeps in registers with the columns of a panel.
const FEW: usize = 4;

/// Rows of floats that AVX-512 keeps in registers.
const HALF: usize = ROWS / 2;

/// Made by [`run`] alone, while this thread has its tiles.
#[derive(Clone, Copy)]
struct Amx<I>(I);

/// Work inside [`run`].
struct Tiled<W>(W);

/// # Safety
/// The CPU must have what [`is_available`] looks for, and AVX-512 with VNNI and BF16.
pub(super) unsafe fn run<W: Work>(work: W) -> W::Output {
    let _tiles = Tiles::take();
    // SAFETY: the caller vouches for AVX-512.
    unsafe { avx512::run_bf16(Tiled(work)) }
}

impl<W: Work> Work for Tiled<W> {
    type Output = W::Output;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> W::Output {
        self.0.run(Amx(isa))
    }
}

impl<I: Isa> Isa for Amx<I> {
    const WORDS: bool = I::WORDS;
    const MANY: bool = true;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        I::mul_add(a, b, c)
    }

    #[inline(always)]
    fn nearest(self, values: &[f32; LINE]) -> [Bf16; LINE] {
        self.0.nearest(values)
    }

    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R> {
        let (whole, rest) = panel.as_chunks::<STEPS>();
        if R != ROWS || whole.is_empty() {
            return self.0.tile(rows, stride, panel);
        }
        assert_whole::<Self>(rows, stride, R, panel);
        Tiles::of_rows::<ROWS>();
        let mut sums = [[0; COLUMNS]; R];
        // SAFETY: `self` shows that the tiles are there, and the rows have just been measured.
        unsafe { products(rows.as_ptr(), stride, whole, sums.as_mut_ptr().cast()) };
        if !rest.is_empty() {
            let rows = &rows[4 * STEPS * whole.len()..];
            for (few, sums) in sums.as_chunks_mut::<FEW>().0.iter_mut().enumerate() {
                let more = self.0.tile::<FEW>(&rows[few * FEW * stride..], stride, rest);
                let more = more.as_flattened().iter();
                sums.as_flattened_mut().iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
        sums
    }

    #[inline(always)]
    fn floats<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, f32>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        if R != ROWS {
            return self.0.floats(rows, panel, out);
        }
        for (part, out) in out.as_chunks_mut::<HALF>().0.iter_mut().enumerate() {
            self.0.floats(half(rows, part), panel, out);
        }
    }

    #[inline(always)]
    fn halves<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, Bf16>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        let whole = rows.words / STEPS;
        if whole == 0 || rows.starts[..R.div_ceil(FOUR)] != even(rows.starts[0], rows.stride)[..R.div_ceil(FOUR)] {
            return few_halves(self.0, rows, panel, out);
        }
        rows.assert_whole(R, panel.len());
        Tiles::of_rows::<R>();
        // SAFETY: `self` shows that the tiles are there, and the rows have just been measured.
        unsafe {
            if V == 2 {
                pairs_of_two(rows, panel.as_ptr().cast(), out.as_mut_ptr().cast())
            } else {
                pairs_of_one(rows, panel.as_ptr().cast(), out.as_mut_ptr().cast())
            }
        };
        let rest = rows.words % STEPS;
        // Whatever the number of rows, these come last: a row has the same sums in every company.
        for segment in 0..if rest == 0 { 0 } else { rows.segments } {
            let rows = rows.further(segment * rows.pitch + 2 * STEPS * whole);
            let rows = Windows { segments: 1, words: rest, ..rows };
            let mut more = [[0.0; PANEL]; R];
            few_halves(self.0, rows, &panel[(segment + 1) * (STEPS * whole + rest) - rest..][..rest], &mut more);
            for (sums, more) in out.iter_mut().zip(more) {
                sums[..V * LINE].iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
    }
}

/// One half of sixteen rows.
#[inline(always)]
fn half<E>(rows: Windows<'_, E>, part: usize) -> Windows<'_, E> {
    let [a, b, c, d] = rows.starts;
    Windows { starts: if part == 0 { [a, b, a, b] } else { [c, d, c, d] }, ..rows }
}

/// What AVX-512 makes of rows that may be more than its registers hold.
#[inline(always)]
fn few_halves<I: Isa, const R: usize, const V: usize>(
    isa: I,
    rows: Windows<'_, Bf16>,
    panel: &[[Line; V]],
    out: &mut FloatSums<R>,
) {
    if R != ROWS {
        return isa.halves(rows, panel, out);
    }
    for (part, out) in out.as_chunks_mut::<HALF>().0.iter_mut().enumerate() {
        isa.halves(half(rows, part), panel, out);
    }
}

/// Products of sixteen rows of bytes with a panel, of which there is at least one step; `out` has sixteen rows of 64
/// numbers.
///
/// # Safety
/// This thread must have its tiles. Sixteen rows, `stride` bytes apart, must be readable as far as the panel
/// goes: 64 bytes for a step.
unsafe fn products(rows: *const u8, stride: usize, panel: &[[Group; STEPS]], out: *mut i32) {
    // SAFETY: the caller vouches for the tiles and the rows. A step reads sixteen groups of the panel, line by
    // line of 256 bytes. No instruction touches the stack.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{rows} + {stride}*1]",
            "tileloadd tmm5, [{panel} + {line}*1]",
            "tileloadd tmm6, [{panel} + {line}*1 + 64]",
            "tdpbusd tmm0, tmm4, tmm5",
            "tileloadd tmm7, [{panel} + {line}*1 + 128]",
            "tdpbusd tmm1, tmm4, tmm6",
            "tileloadd tmm5, [{panel} + {line}*1 + 192]",
            "tdpbusd tmm2, tmm4, tmm7",
            "tdpbusd tmm3, tmm4, tmm5",
            "add {rows}, 64",
            "add {panel}, 4096",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{out} + {line}*1], tmm0",
            "tilestored [{out} + {line}*1 + 64], tmm1",
            "tilestored [{out} + {line}*1 + 128], tmm2",
            "tilestored [{out} + {line}*1 + 192], tmm3",
            rows = inout(reg) rows => _,
            panel = inout(reg) panel.as_ptr() => _,
            steps = inout(reg) panel.len() => _,
            stride = in(reg) stride,
            line = in(reg) size_of::<Group>(),
            out = in(reg) out,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// Products of rows of bf16 with a panel of one line or two; `out` has a row of 32 numbers for each.
macro_rules! pairs {
    ($name:ident, $lines:literal, [$($second:literal),*], [$($last:literal),*]) => {
        /// # Safety
        /// This thread must have tiles of so many rows, [`Windows::assert_whole`] must have passed, and a segment
        /// must have sixteen words.
        unsafe fn $name(rows: Windows<'_, Bf16>, panel: *const Line, out: *mut f32) {
            let step = $lines * size_of::<Line>();
            // SAFETY: the caller vouches for the tiles, rows and panel. A step reads 64 bytes of each row and
            // sixteen times as many lines as a word meets. What is left of a segment is passed over. No
            // instruction touches the stack.
            unsafe {
                asm!(
                    "tilezero tmm0", "tilezero tmm1",
                    "3:",
                    "mov {at}, {rows}",
                    "mov {left}, {whole}",
                    "2:",
                    "tileloadd tmm2, [{at} + {stride}*1]",
                    "tileloadd tmm3, [{panel} + {step}*1]",
                    $($second,)*
                    "tdpbf16ps tmm0, tmm2, tmm3",
                    "add {at}, 64",
                    "add {panel}, {steps}",
                    "dec {left}",
                    "jnz 2b",
                    "add {rows}, {pitch}",
                    "add {panel}, {rest}",
                    "dec {segments}",
                    "jnz 3b",
                    "tilestored [{out} + {line}*1], tmm0",
                    $($last,)*
                    at = out(reg) _,
                    left = out(reg) _,
                    rows = inout(reg) rows.values.as_ptr().wrapping_add(rows.starts[0]) => _,
                    panel = inout(reg) panel => _,
                    segments = inout(reg) rows.segments => _,
                    whole = in(reg) rows.words / STEPS,
                    stride = in(reg) rows.stride * size_of::<Bf16>(),
                    pitch = in(reg) rows.pitch * size_of::<Bf16>(),
                    rest = in(reg) rows.words % STEPS * step,
                    step = in(reg) step,
                    steps = const STEPS * $lines * size_of::<Line>(),
                    line = in(reg) size_of::<[f32; PANEL]>(),
                    out = in(reg) out,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
                    options(nostack),
                );
            }
        }
    };
}

pairs!(pairs_of_one, 1, [], []);
pairs!(
    pairs_of_two,
    2,
    ["tileloadd tmm4, [{panel} + {step}*1 + 64]", "tdpbf16ps tmm1, tmm2, tmm4"],
    ["tilestored [{out} + {line}*1 + 64], tmm1"]
);
