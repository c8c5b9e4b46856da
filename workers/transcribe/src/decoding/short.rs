//! How long a short window is: the sound and some silence behind it.

/// Frames of silence: 7 s. With 5 s, one of 15 recordings made base write its sentence over and over; with 6 s and
/// more, none did.
const SILENCE: usize = 700;

/// Frames of the 64 positions that attention takes at once.
const PANEL: usize = 128;

/// Frames of silence that are left out where this saves a panel. It made 58 of 109 recordings quicker, and the text of
/// none another (30 November 2026, base in int8).
const SPARED: usize = PANEL / 2;

/// Frames of the window for sound of so many, an even number.
pub(super) fn frames(heard: usize) -> usize {
    let frames = heard + SILENCE;
    match frames % PANEL {
        beyond @ 0..=SPARED => frames - beyond,
        _ => frames.next_multiple_of(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_more_than_six_seconds_follows_and_fills_panels_where_it_can() {
        let lengths: Vec<usize> = (0..3000).map(frames).collect();
        for (heard, frames) in lengths.iter().enumerate() {
            assert!((SILENCE - SPARED..=SILENCE + 1).contains(&(frames - heard)), "{heard}: {frames}");
            assert!(frames.is_multiple_of(2) && (frames % PANEL == 0 || frames % PANEL > SPARED), "{heard}: {frames}");
        }
        assert!(lengths.is_sorted());
    }
}
