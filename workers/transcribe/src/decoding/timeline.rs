//! The stretches of a recording that are read, laid end to end, and the way back to its own time.

use std::ops::Range;

use super::{Word, segments::FRAMES_PER_SECOND};
use crate::audio::SAMPLE_RATE;

/// Samples of a log-mel frame: 10 ms.
const HOP: usize = SAMPLE_RATE as usize / 100;

/// What is read, in log-mel frames.
#[derive(Debug, PartialEq)]
pub(super) struct Timeline {
    pieces: Vec<Piece>,
    /// Frames of all pieces.
    frames: usize,
    /// Frames of the recording.
    recorded: usize,
}

#[derive(Debug, PartialEq)]
struct Piece {
    /// Where it lies among the pieces.
    at: usize,
    frames: usize,
    /// Where it lies in the recording.
    recorded: usize,
}

impl Timeline {
    /// Of stretches in samples, in order and apart from each other, in a recording of so many.
    pub(super) fn new(stretches: &[Range<usize>], samples: usize) -> Self {
        let recorded = samples / HOP;
        let mut timeline = Self { pieces: Vec::new(), frames: 0, recorded };
        for stretch in stretches {
            let start = stretch.start / HOP;
            let end = stretch.end.div_ceil(HOP).min(recorded);
            let frames = end.saturating_sub(start);
            if frames > 0 {
                timeline.pieces.push(Piece { at: timeline.frames, frames, recorded: start });
                timeline.frames += frames;
            }
        }
        timeline
    }

    /// The samples of all pieces, one behind the other.
    pub(super) fn gather(&self, samples: &[f32]) -> Vec<f32> {
        let mut gathered = Vec::with_capacity(self.frames * HOP);
        for piece in &self.pieces {
            let start = piece.recorded * HOP;
            gathered.extend(&samples[start..(start + piece.frames * HOP).min(samples.len())]);
        }
        gathered
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Length of the recording in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.recorded as f64 / FRAMES_PER_SECOND
    }

    /// How many frames a window from `frame` on takes, at most `most`, and whether it ends in the
    /// middle of a piece. One that ends between two pieces ends in a pause: nothing is cut off.
    pub(super) fn window(&self, frame: usize, most: usize) -> (usize, bool) {
        let limit = frame + most;
        let ends = self.pieces.iter().map(|piece| piece.at + piece.frames);
        match ends.filter(|end| (frame + 1..=limit).contains(end)).max() {
            Some(end) => (end - frame, false),
            None => (most.min(self.frames - frame.min(self.frames)), limit < self.frames),
        }
    }

    /// Seconds of the recording at a place among the pieces where something begins.
    pub(super) fn begins(&self, frames: f64) -> f64 {
        self.recorded_at(frames, |piece| piece.at as f64 <= frames)
    }

    /// The same where something ends: at a seam that is the end of the piece before.
    pub(super) fn ends(&self, frames: f64) -> f64 {
        self.recorded_at(frames, |piece| (piece.at as f64) < frames)
    }

    /// A word of the window at a frame, in seconds of the recording, to the millisecond.
    pub(super) fn word(&self, frame: usize, word: Word) -> Word {
        let place = |seconds: f64| frame as f64 + seconds * FRAMES_PER_SECOND;
        let rounded = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        let start = self.begins(place(word.start));
        let end = self.ends(place(word.end)).max(start);
        Word { start: rounded(start), end: rounded(end), ..word }
    }

    fn recorded_at(&self, frames: f64, lies_before: impl Fn(&Piece) -> bool) -> f64 {
        let piece = self.pieces.iter().rev().find(|piece| lies_before(piece)).or(self.pieces.first());
        let recorded = piece.map_or(frames, |piece| {
            let within = (frames - piece.at as f64).clamp(0.0, piece.frames as f64);
            piece.recorded as f64 + within
        });
        (recorded / FRAMES_PER_SECOND).min(self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 s from 10 s on, 25 s from 40 s on, 40 s from 100 s on, of 200 s.
    fn timeline() -> Timeline {
        let stretches = [(10, 12), (40, 65), (100, 140)].map(|(start, end)| start * 16_000..end * 16_000);
        Timeline::new(&stretches, 200 * 16_000)
    }

    #[test]
    fn places_go_back_to_the_time_of_the_recording() {
        let timeline = timeline();
        assert_eq!(timeline.frames(), 6700);
        assert_eq!((timeline.begins(0.0), timeline.begins(150.0)), (10.0, 11.5));
        assert_eq!((timeline.ends(200.0), timeline.begins(200.0)), (12.0, 40.0));
        assert_eq!((timeline.begins(2750.0), timeline.ends(6700.0)), (100.5, 140.0));
    }

    #[test]
    fn windows_end_between_pieces_where_they_can() {
        let timeline = timeline();
        assert_eq!(timeline.window(0, 3000), (2700, false));
        assert_eq!(timeline.window(2700, 3000), (3000, true));
        assert_eq!(timeline.window(5700, 3000), (1000, false));
        assert_eq!(timeline.window(1000, 1000), (1000, true));
    }

    #[test]
    fn samples_are_gathered_and_an_end_within_a_frame_is_kept_out() {
        let samples: Vec<f32> = (0..1000).map(|n| n as f32).collect();
        let timeline = Timeline::new(&[170..330, 640..1000], 1000);
        assert_eq!(timeline.frames(), 2 + 2);
        let gathered = timeline.gather(&samples);
        assert_eq!((gathered[0], gathered[320], gathered.len()), (160.0, 640.0, 640));
    }
}
