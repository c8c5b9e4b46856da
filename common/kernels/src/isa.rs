//! What differs from one set of instructions to another, and how code is compiled for each.
//!
//! A new path is an [`Isa`], a variant of [`Path`] and an arm of [`dispatch`].

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions on tiles, for which the compiler has no functions yet")]
mod amx;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "tiles must be asked for and set up")]
pub(crate) mod amx_state;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vpmaddwd and vpdpbusd on registers of 256 bits")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "sums of a tile in registers of 256 bits")]
mod avx2_floats;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vpdpbusd on registers of 512 bits")]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "sums of a tile in registers of 512 bits, and vdpbf16ps")]
mod avx512_floats;
mod portable;

use crate::{
    floats::{Bf16, FloatSums, LINE, Line, Windows},
    packed::Group,
    path::Path,
};

/// Columns of a panel of packed weights.
pub(crate) const COLUMNS: usize = 64;

/// Sums of some rows of activations with the columns of a panel.
pub(crate) type Sums<const R: usize> = [[i32; COLUMNS]; R];

/// Evidence that the CPU has a set of instructions, and what is written for it by hand. All other
/// code is plain Rust that the compiler makes vectors of inside [`dispatch`].
pub(crate) trait Isa: Copy {
    /// Whether activations are signed numbers of two bytes, the low one first, and not bytes.
    const WORDS: bool = false;

    /// Whether a tile of sixteen rows is the quickest. Otherwise the registers hold six.
    const MANY: bool = false;

    /// `a · b + c`, rounded once where the CPU does that in one instruction.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;

    /// The nearest bf16 of each value: [`Bf16::nearest`].
    #[inline(always)]
    fn nearest(self, values: &[f32; LINE]) -> [Bf16; LINE] {
        values.map(Bf16::nearest)
    }

    /// Products of R rows, `stride` bytes apart, with the columns of a panel. Sums beyond 32 bits wrap.
    ///
    /// # Panics
    /// If the rows end before the panel does.
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R>;

    /// Products of R rows of f32, at most twelve, with the columns of a panel of V lines. Where V is one, the
    /// other columns keep what they held.
    ///
    /// # Panics
    /// If the rows end before the panel does.
    fn floats<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, f32>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    );

    /// The same of bf16. Each word is two of them, and so is each of the panel.
    ///
    /// # Panics
    /// If the rows end before the panel does.
    fn halves<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, Bf16>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    );
}

/// Code that is compiled once for each path. `run` must be `#[inline(always)]`: otherwise it is
/// compiled for the oldest CPU.
pub(crate) trait Work {
    type Output;

    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// Runs the work with the instructions of a path, which the CPU must have: `Kernels` sees to it.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls code for instructions found at run time"))]
pub(crate) fn dispatch<W: Work>(path: Path, work: W) -> W::Output {
    match path {
        // SAFETY: `Kernels` of this path exist only where `Path::is_available` has found the
        // instructions that the function is compiled for.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512Bf16 => unsafe { avx512::run_bf16(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Amx => unsafe { amx::run(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { avx512::run(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::AvxVnni => unsafe { avx2::run_vnni(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { avx2::run(work) },
        _ => work.run(portable::Portable),
    }
}

/// Refuses rows that are shorter than the panel: the tiles read them without looking.
fn assert_whole<I: Isa>(rows: &[u8], stride: usize, count: usize, panel: &[Group]) {
    let four = if I::WORDS { 8 } else { 4 };
    let end = (count - 1) * stride + four * panel.len();
    assert!(end <= rows.len(), "{count} rows of {stride} bytes end before {end}, at {}", rows.len());
}
