//! From frames that may be part of a word to stretches of sound that are worth reading.

use std::ops::Range;

use super::frames::{FRAME, HOP};
use crate::audio::SAMPLE_RATE;

/// Sound kept before a stretch, and after it: a word begins softly, and ends more so.
const BEFORE: usize = SAMPLE_RATE as usize * 4 / 10;
const AFTER: usize = SAMPLE_RATE as usize * 6 / 10;

/// A pause shorter than this between two stretches stays what it is, part of the speech: 2 s. All
/// that is taken out is longer, so sentences keep their pauses.
const PAUSE: usize = 2 * SAMPLE_RATE as usize;

/// Frames that may be part of a word, by their numbers.
#[derive(Default)]
pub(super) struct Stretches {
    /// In samples, in order of their ends.
    found: Vec<Range<usize>>,
}

impl Stretches {
    /// Adds the active frames of a window that begins with frame `first`; windows come in order,
    /// and overlap.
    pub(super) fn add(&mut self, first: usize, active: &[bool]) {
        for (at, _) in active.iter().enumerate().filter(|(_, active)| **active) {
            let start = (first + at) * HOP;
            self.join(start..start + FRAME);
        }
    }

    fn join(&mut self, frame: Range<usize>) {
        let mut frame = frame;
        // A window may reach back before what the ones before it found last.
        while let Some(last) = self.found.last() {
            if frame.start > last.end + PAUSE + BEFORE + AFTER {
                break;
            }
            frame = frame.start.min(last.start)..frame.end.max(last.end);
            self.found.pop();
        }
        self.found.push(frame);
    }

    /// The stretches with a rest of the sound around them, within so many samples.
    pub(super) fn finish(self, samples: usize) -> Vec<Range<usize>> {
        let widen = |found: Range<usize>| found.start.saturating_sub(BEFORE)..(found.end + AFTER).min(samples);
        self.found.into_iter().map(widen).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::single_range_in_vec_init, reason = "one stretch is a list of one range")]
    use super::*;

    /// Stretches in tenths of a second of words in tenths of a second.
    fn stretches(words: &[Range<usize>], tenths: usize) -> Vec<Range<usize>> {
        let mut stretches = Stretches::default();
        for word in words {
            stretches.join(word.start * 1600..word.end * 1600);
        }
        stretches.finish(tenths * 1600).into_iter().map(|found| found.start / 1600..found.end / 1600).collect()
    }

    #[test]
    fn pauses_stay_and_long_silence_goes() {
        assert_eq!(stretches(&[50..60, 80..90], 200), [46..96]);
        assert_eq!(stretches(&[50..60, 100..110], 200), [46..66, 96..116]);
    }

    #[test]
    fn stretches_end_with_the_sound_and_do_not_overlap() {
        assert_eq!(stretches(&[0..10, 41..49], 50), [0..16, 37..50]);
        assert_eq!(stretches(&[0..10, 40..49], 50), [0..50]);
        assert_eq!(stretches(&[50..60, 20..30, 55..65], 100), [16..71]);
    }
}
