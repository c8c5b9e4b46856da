//! The tiles of a thread, and whether a process may have any.

use std::arch::{asm, x86_64};
use std::cell::Cell;

/// Tiles of a thread.
const TILES: usize = 8;

/// The most rows of a tile.
const MOST: usize = 16;

/// The tiles of this thread. The last of them to go gives the tiles back: a thread that has some costs more
/// when another takes its place.
pub(super) struct Tiles;

thread_local! {
    /// How many [`Tiles`] this thread has: work may call for more work.
    static DEPTH: Cell<usize> = const { Cell::new(0) };

    /// Rows of the first three; none before they are set up.
    static ROWS: Cell<usize> = const { Cell::new(0) };
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// They are set up when they are first needed: a product of one row needs none.
    pub(super) fn take() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }

    /// From now on, the first three have so many rows, the others sixteen.
    #[inline(always)]
    pub(super) fn of_rows<const R: usize>() {
        if ROWS.get() != R {
            configure(R);
        }
    }
}

#[cold]
fn configure(first: usize) {
    let (mut bytes, mut rows) = ([0; 16], [0; 16]);
    bytes[..TILES].fill(64);
    rows[..TILES].fill(MOST as u8);
    rows[..3].fill(first as u8);
    let configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes, rows };
    // SAFETY: only paths with AMX come here. Palette 1 has eight tiles of up to sixteen rows of 64 bytes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
    ROWS.set(first);
}

impl Drop for Tiles {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 && ROWS.replace(0) != 0 {
            // SAFETY: `configure` has run on this thread.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

/// Whether this CPU has AMX with products of bytes and of bf16, and the system lets this process use it, for
/// which it must be asked: a thread with tiles needs 8 KiB more to save.
pub(crate) fn is_available() -> bool {
    /// Leaf 7: AMX-BF16, AMX-TILE, AMX-INT8.
    const FEATURES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    /// Leaf 1: the system has XSAVE on, so that `xgetbv` can be asked.
    const OSXSAVE: u32 = 1 << 27;
    let (basic, extended) = (x86_64::__cpuid(1).ecx, x86_64::__cpuid_count(7, 0).edx);
    basic & OSXSAVE != 0 && extended & FEATURES == FEATURES && has_state() && is_permitted()
}

/// Whether the system saves tiles and their configuration when it puts a thread aside.
fn has_state() -> bool {
    const TILES: u64 = 0b11 << 17;
    let (low, high): (u32, u32);
    // SAFETY: the caller has seen OSXSAVE, with which the instruction is there; register 0 always is.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    (u64::from(high) << 32 | u64::from(low)) & TILES == TILES
}

/// Asks Linux for the tiles (since 5.16; Documentation/arch/x86/xstate.rst). All threads of the process get
/// them, and to ask again is no fault.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILE_DATA: i64 = 18;
    unsafe extern "C" {
        fn syscall(number: i64, ...) -> i64;
    }
    // SAFETY: the call has two numbers and touches no memory of this process.
    unsafe { syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}
