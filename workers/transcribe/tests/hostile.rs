//! What a hostile recording may cost. Memory is measured where it is asked for: beyond the limit of
//! a test the allocator refuses, and the process aborts as a worker would.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "hostile/bombs.rs"]
mod bombs;
#[path = "hostile/ogg.rs"]
mod ogg;
#[path = "audio/wav.rs"]
mod wav;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap::Cap;
use shanshui_transcribe::audio::{AudioError, Budget, Recording, decode};

use wav::{HONEST, Header, float_wav, wav};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;

/// Held by a test from its first line: no other asks for memory meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A panic that is caught says so; a backtrace would cost 50 MiB of names.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs with at most so many bytes more than there are now.
fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + bytes).unwrap();
    let done = work();
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    done
}

fn heard(bytes: &[u8]) -> Result<Recording, AudioError> {
    decode(bytes, &Budget::default())
}

#[test]
fn s03_a_lying_wav_header_costs_less_than_16_mib() {
    let _alone = alone();
    let data = [1; 1000];
    let lie = |format, channels, rate, bits, block_align, size| {
        wav(&Header { format, channels, rate, bits, block_align, size }, &data)
    };
    let huge = Some(u32::MAX);
    for file in [
        lie(1, 1, 16_000, 16, 2, huge),
        lie(1, 65_535, 16_000, 16, 65_535, huge),
        lie(1, 0, 16_000, 16, 0, huge),
        lie(1, 1, 0, 16, 2, huge),
        lie(1, 1, u32::MAX, 16, 2, huge),
        lie(1, 1, 384_000, 16, 0, huge),
        lie(1, 1, 16_000, 0, 2, None),
        lie(1, 1, 16_000, 33, 5, None),
        lie(0x11, 2, 16_000, 4, 65_535, huge),
        wav(&Header { size: huge, ..HONEST }, &[]),
        float_wav(383_999, 32, &[f32::MAX; 64]),
    ] {
        within(16 * MIB, || heard(&file).map_or((), |recording| assert!(recording.samples.len() <= 1000)));
    }
}

#[test]
fn s04_what_expands_a_thousandfold_stops_at_the_budget() {
    let _alone = alone();
    // One byte a packet of 60 ms; the last page says that it all is one second.
    let bomb = ogg::opus(30_000, 48_000);
    let budget = Budget { max_seconds: 60.0, ..Budget::default() };
    let stopped = within(24 * MIB, || decode(&bomb, &budget)).unwrap_err();
    assert!(matches!(stopped, AudioError::TooLong { seconds, max: 60.0 } if seconds < 61.0), "{stopped}");
    let budget = Budget { max_samples: 48_000 * 60, ..Budget::default() };
    let stopped = within(24 * MIB, || decode(&bomb, &budget)).unwrap_err();
    assert!(matches!(stopped, AudioError::TooManySamples { samples, .. } if samples < 48_000 * 61), "{stopped}");
}

#[test]
fn s06_ten_hours_are_refused_before_they_are_decoded() {
    let _alone = alone();
    let hours = ogg::opus(600_000, 600_000 * 2880);
    let refused = within(MIB, || heard(&hours)).unwrap_err();
    assert!(matches!(refused, AudioError::TooLong { seconds, max: 1800.0 } if seconds == 36_000.0), "{refused}");
}

#[test]
fn s28_headers_that_ask_for_gigabytes_get_none() {
    let _alone = alone();
    for (what, bomb) in bombs::all() {
        let got = within(16 * MIB, || heard(&bomb));
        assert!(got.as_ref().map_or(0, |recording| recording.samples.len()) < 200_000, "{what}: {got:?}");
    }
}
