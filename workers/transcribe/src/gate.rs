//! Where in a recording somebody may speak, by the sound alone and before a model is woken.
//!
//! Whisper invents sentences for silence and noise, and a picture of an invention is worse than
//! none. This gate stops only what cannot be speech; in doubt it lets the sound pass, for the
//! model's own no-speech probability judges after it. It must never stop a person, so speech is
//! recognised by what noise and tones do not have: it swells and ebbs with its syllables, a few
//! times a second, in at least one band of frequencies, and no single tone holds all its energy.
//! Tones that stand still, such as mains hum, are taken out before.

mod frames;
mod stretches;
mod window;

use std::ops::Range;

use crate::audio::SAMPLE_RATE;
use frames::{FRAME, Frames, HOP};
use stretches::Stretches;
pub use window::{MIN_SWING_DB, SILENCE_DBFS, TONE_SHARE};

/// Shorter than this nobody speaks: 100 ms, in samples.
pub const MIN_SAMPLES: usize = SAMPLE_RATE as usize / 10;

/// Length of one judgement, long enough for several syllables and a pause: 3 s, in frames.
const WINDOW: usize = 188;

/// From one judgement to the next: half a second, in frames, so that a word with pauses around it
/// has a window of its own.
const STEP: usize = 31;

/// What the sound itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// May be speech; ask the model.
    Speech,
    /// Nothing, or nearly so, or shorter than [`MIN_SAMPLES`].
    Silence,
    /// Sound without syllables: noise, hum, or a tone.
    Steady,
}

/// What was heard in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// [`Verdict::Speech`] if there is one stretch or more.
    pub verdict: Verdict,
    /// Where somebody may speak, in samples: in order, apart from each other, with a rest of the
    /// sound around them.
    pub stretches: Vec<Range<usize>>,
}

/// Judges a recording of 16 kHz mono samples. One window of 3 s that may hold speech is enough.
#[must_use]
pub fn signal(samples: &[f32]) -> Verdict {
    listen(samples).verdict
}

/// Judges a recording of 16 kHz mono samples, window after window.
#[must_use]
pub fn listen(samples: &[f32]) -> Sound {
    if samples.len() < MIN_SAMPLES {
        return Sound { verdict: Verdict::Silence, stretches: Vec::new() };
    }
    // Whole frames only: a sound that stops within one would look like a click.
    let total = (samples.len() - FRAME) / HOP + 1;
    let mut frames = Frames::new(samples);
    let mut stretches = Stretches::default();
    let mut verdict = Verdict::Silence;
    let mut start = 0;
    loop {
        // The last window ends with the sound, so that it is as long as the others.
        let end = (start + WINDOW).min(total);
        let first = end.saturating_sub(WINDOW);
        let judged = window::judge(frames.range(first..end));
        match judged.verdict {
            Verdict::Speech => {
                verdict = Verdict::Speech;
                stretches.add(first, &judged.active);
            }
            Verdict::Steady if verdict == Verdict::Silence => verdict = Verdict::Steady,
            _ => {}
        }
        if end == total {
            return Sound { verdict, stretches: stretches.finish(samples.len()) };
        }
        start += STEP;
    }
}
