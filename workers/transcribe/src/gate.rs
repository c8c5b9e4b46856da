//! The part of the no-speech gate that looks at the sound alone, before a model is woken.
//!
//! Whisper invents sentences for silence and noise, and a picture of an invention is worse than
//! none. This gate stops only what cannot be speech; in doubt it lets the sound pass, for the
//! model's own no-speech probability judges after it. It must never stop a person, so speech is
//! recognised by what noise and tones do not have: it swells and ebbs with its syllables, a few
//! times a second, in at least one band of frequencies, and no single tone holds all its energy.

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;

use crate::audio::SAMPLE_RATE;

/// Shorter than this nobody speaks: 100 ms, in samples.
pub const MIN_SAMPLES: usize = SAMPLE_RATE as usize / 10;

/// A window whose loudest 80 ms stay below this is silent, in dB below full scale. The quietest
/// of the test recordings still reaches -62 after 40 dB of attenuation; 16-bit dither lies at -96.
pub const SILENCE_DBFS: f32 = -72.0;

/// Least swing of a band's level (95th less 10th percentile, in dB) that counts as syllables.
/// White to brown noise was measured to stay below 4.2 in every window; the test recordings with
/// noise 5 dB below them still swing by 13 and more.
pub const MIN_SWING_DB: f32 = 7.0;

/// A tone: this share of a frame's energy lies within two bins (63 Hz) of its peak.
pub const TONE_SHARE: f32 = 0.9;

/// Length of one judgement, long enough for several syllables and a pause: 3 s, in frames.
const WINDOW: usize = 188;

/// Below this many frames (1 s) the swing of a steady sound cannot be told from a single word.
const MIN_WINDOW: usize = 62;

const FRAME: usize = 512;
const HOP: usize = 256;

/// Edges of the bands in Hz: pitch and first formant, the formants, the sibilants.
const EDGES: [usize; 6] = [100, 400, 1000, 2000, 4000, 7500];
const BANDS: usize = EDGES.len() - 1;

/// Frames over which a level is averaged: 80 ms, shorter than a syllable.
const SMOOTH: usize = 5;

/// Added to every band's power (-90 dBFS), so that rounding noise has no swing.
const FLOOR: f32 = 1e-9;

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

/// Judges a recording of 16 kHz mono samples. One window of 3 s that may hold speech is enough.
#[must_use]
pub fn signal(samples: &[f32]) -> Verdict {
    if samples.len() < MIN_SAMPLES {
        return Verdict::Silence;
    }
    let mut analyser = Analyser::new();
    // Whole frames only: a sound that stops within one would look like a click.
    let starts = (0..=samples.len() - FRAME).step_by(HOP);
    let frames: Vec<Frame> = starts.map(|start| analyser.frame(&samples[start..])).collect();
    let mut verdict = Verdict::Silence;
    let mut start = 0;
    loop {
        // The last window ends with the sound, so that it is as long as the others.
        let end = (start + WINDOW).min(frames.len());
        match judge(&frames[end.saturating_sub(WINDOW)..end]) {
            Verdict::Speech => return Verdict::Speech,
            Verdict::Steady => verdict = Verdict::Steady,
            Verdict::Silence => {}
        }
        if end == frames.len() {
            return verdict;
        }
        start += WINDOW / 2;
    }
}

fn judge(frames: &[Frame]) -> Verdict {
    let levels = smoothed(frames, |frame| frame.power);
    let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
    if loudest < SILENCE_DBFS {
        return Verdict::Silence;
    }
    if is_one_tone(frames) {
        return Verdict::Steady;
    }
    let swings = || (0..BANDS).map(|band| swing(smoothed(frames, |frame| frame.bands[band])));
    if frames.len() < MIN_WINDOW || swings().any(|swing| swing >= MIN_SWING_DB) {
        Verdict::Speech
    } else {
        Verdict::Steady
    }
}

/// Running mean of a power over [`SMOOTH`] frames, in dB.
fn smoothed(frames: &[Frame], power: impl Fn(&Frame) -> f32) -> Vec<f32> {
    let width = SMOOTH.min(frames.len()).max(1);
    let mean = |run: &[Frame]| run.iter().map(&power).sum::<f32>() / width as f32;
    frames.windows(width).map(|run| 10.0 * (mean(run) + FLOOR).log10()).collect()
}

fn swing(mut levels: Vec<f32>) -> f32 {
    levels.sort_unstable_by(f32::total_cmp);
    let at = |share: f32| levels[((levels.len() - 1) as f32 * share).round() as usize];
    at(0.95) - at(0.10)
}

/// Whether nine in ten of the loud frames (within 20 dB of the loudest) hold one and the same
/// tone, which may come and go as the beeps of a telephone do.
fn is_one_tone(frames: &[Frame]) -> bool {
    let loudest = frames.iter().map(|frame| frame.power).fold(0.0, f32::max);
    let loud: Vec<&Frame> = frames.iter().filter(|frame| frame.power >= loudest * 0.01).collect();
    let mut peaks: Vec<usize> = loud.iter().map(|frame| frame.peak).collect();
    peaks.sort_unstable();
    let Some(&pitch) = peaks.get(peaks.len() / 2) else {
        return false;
    };
    let tones = loud.iter().filter(|f| f.peak_share >= TONE_SHARE && f.peak.abs_diff(pitch) <= 1).count();
    tones * 10 >= loud.len() * 9
}

/// What is kept of 32 ms of sound. Powers are mean squares; full scale is 1.
struct Frame {
    power: f32,
    bands: [f32; BANDS],
    /// Bin with the most energy, 31.25 Hz each.
    peak: usize,
    /// Share of the energy within two bins of the peak.
    peak_share: f32,
}

struct Analyser {
    hann: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Analyser {
    fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FRAME);
        let turn = std::f32::consts::TAU / FRAME as f32;
        Self {
            hann: (0..FRAME).map(|n| 0.5 - 0.5 * (turn * n as f32).cos()).collect(),
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    fn frame(&mut self, sound: &[f32]) -> Frame {
        for ((value, weight), sample) in self.input.iter_mut().zip(&self.hann).zip(sound) {
            *value = weight * sample;
        }
        // The only error is a wrong buffer length, and the planner made these buffers.
        let done = self.fft.process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok());
        // Parseval, both halves of the spectrum, and the window's mean square of 3/8.
        let scale = 2.0 / (FRAME as f32 * FRAME as f32 * 0.375);
        // Below 62 Hz lie offset and rumble.
        let power = |bin: usize| {
            if bin < 2 { 0.0 } else { self.spectrum[bin].norm_sqr() * scale }
        };
        let total = |bins: std::ops::Range<usize>| bins.map(power).sum::<f32>();
        let bin = |hertz: usize| hertz * FRAME / SAMPLE_RATE as usize;
        let peak = (0..FRAME / 2).max_by(|&a, &b| power(a).total_cmp(&power(b))).unwrap_or(0);
        let all = total(0..FRAME / 2);
        Frame {
            power: all,
            bands: std::array::from_fn(|band| total(bin(EDGES[band])..bin(EDGES[band + 1]))),
            peak,
            peak_share: total(peak.saturating_sub(2)..(peak + 3).min(FRAME / 2)) / (all + f32::MIN_POSITIVE),
        }
    }
}
