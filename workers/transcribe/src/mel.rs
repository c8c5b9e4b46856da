//! The log-mel spectrogram that Whisper was trained on, to the letter of OpenAI's
//! `log_mel_spectrogram` (Radford et al. 2022, section 2.2).
//!
//! Other front ends differ in details that cost words: here the window is periodic, the frames are
//! centred with reflected edges, the last frame is dropped, the filters are Slaney's, and the
//! dynamic range is counted from the loudest point of the *whole* recording.

use std::f64::consts::PI;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::SAMPLE_RATE;

/// Samples per frame (25 ms), which is also the length of the transform.
pub const FRAME: usize = 400;

/// Samples from one frame to the next: 10 ms.
pub const HOP: usize = 160;

/// Frames that the encoder takes at once: 30 s.
pub const WINDOW_FRAMES: usize = 3000;

/// Frequencies from 0 to 8 kHz.
const SPECTRUM: usize = FRAME / 2 + 1;

/// Frames per piece of parallel work, 0.6 s of sound.
const PIECE: usize = 64;

/// Filter bank and transform, made once per model.
pub struct Mel {
    filters: Vec<Filter>,
    hann: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl std::fmt::Debug for Mel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mel").field("bins", &self.bins()).finish_non_exhaustive()
    }
}

/// The log-mel spectrogram of a whole recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    bins: usize,
    /// Frame after frame, each of `bins` values.
    rows: Vec<f32>,
}

impl Mel {
    /// Filters for `bins` mel bands: 80 for all models but large-v3 and its kin, which have 128.
    #[must_use]
    pub fn new(bins: usize) -> Self {
        let hann = (0..FRAME).map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / FRAME as f64).cos()) as f32);
        Self { filters: slaney_filters(bins), hann: hann.collect(), fft: RealFftPlanner::new().plan_fft_forward(FRAME) }
    }

    /// Number of mel bands.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.filters.len()
    }

    /// Spectrogram of 16 kHz mono `samples`: one frame for each 10 ms.
    ///
    /// OpenAI appends 30 s of silence, takes the maximum over all of it and later ignores the
    /// appended frames; as silence is never the maximum, only the two frames that the sound still
    /// reaches into are computed here.
    #[must_use]
    pub fn spectrogram(&self, samples: &[f32]) -> Spectrogram {
        let bins = self.bins();
        let frames = samples.len() / HOP;
        let mut rows = vec![0.0; (frames + 2) * bins];
        rows.par_chunks_mut(PIECE * bins.max(1)).enumerate().for_each(|(piece, rows)| {
            self.log_power(samples, piece * PIECE, rows);
        });
        let loudest = rows.iter().copied().fold(-10.0, f32::max);
        rows.truncate(frames * bins);
        for value in &mut rows {
            *value = (value.max(loudest - 8.0) + 4.0) / 4.0;
        }
        Spectrogram { bins, rows }
    }

    /// Fills `rows` with log10 of the mel power of the frames from `first` on.
    fn log_power(&self, samples: &[f32], first: usize, rows: &mut [f32]) {
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut power = [0.0; SPECTRUM];
        for (index, row) in rows.chunks_exact_mut(self.bins()).enumerate() {
            let start = ((first + index) * HOP) as isize - (FRAME / 2) as isize;
            let weighted = frame.iter_mut().zip(&self.hann);
            if let Some(sound) = usize::try_from(start).ok().and_then(|start| samples.get(start..start + FRAME)) {
                weighted.zip(sound).for_each(|((value, weight), sample)| *value = weight * sample);
            } else {
                for (n, (value, weight)) in weighted.enumerate() {
                    // A negative time is one before the start, where the sound is mirrored.
                    let time = (start + n as isize).unsigned_abs();
                    *value = weight * samples.get(time).copied().unwrap_or(0.0);
                }
            }
            // The only error is a wrong buffer length, and the planner made these buffers.
            if self.fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
                continue;
            }
            for (power, bin) in power.iter_mut().zip(&spectrum) {
                *power = bin.norm_sqr();
            }
            for (value, filter) in row.iter_mut().zip(&self.filters) {
                *value = filter.apply(&power).max(1e-10).log10();
            }
        }
    }
}

impl Spectrogram {
    /// Number of mel bands.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Frames of sound, 100 a second.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.rows.len() / self.bins.max(1)
    }

    /// The encoder's input from frame `first` on: `bins` × `frames` values, band after band.
    /// What lies behind the end of the sound is 0, as OpenAI's `pad_or_trim` leaves it.
    #[must_use]
    pub fn window(&self, first: usize, frames: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.bins * frames];
        let rows = self.rows.chunks_exact(self.bins.max(1)).skip(first).take(frames);
        for (time, row) in rows.enumerate() {
            for (band, value) in row.iter().enumerate() {
                out[band * frames + time] = *value;
            }
        }
        out
    }

    /// As [`Spectrogram::window`], but frame after frame and only the first `heard` of them sound.
    #[must_use]
    pub fn rows(&self, first: usize, heard: usize, frames: usize) -> Vec<f32> {
        let start = (first * self.bins).min(self.rows.len());
        let end = (start + heard.min(frames) * self.bins).min(self.rows.len());
        let mut out = self.rows[start..end].to_vec();
        out.resize(frames * self.bins, 0.0);
        out
    }
}

/// One triangle over the spectrum; the zeros around it are left out.
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

impl Filter {
    fn apply(&self, power: &[f32; SPECTRUM]) -> f32 {
        self.weights.iter().zip(&power[self.first..]).map(|(weight, power)| weight * power).sum()
    }
}

/// Triangles of equal area, evenly spaced on Slaney's mel scale from 0 to 8 kHz: those of
/// `librosa.filters.mel(sr=16000, n_fft=400, n_mels=bins)`, from which OpenAI's table was made.
fn slaney_filters(bins: usize) -> Vec<Filter> {
    let nyquist = f64::from(SAMPLE_RATE) / 2.0;
    let top = hertz_to_mel(nyquist);
    let corners: Vec<f64> = (0..bins + 2).map(|i| mel_to_hertz(top * i as f64 / (bins + 1) as f64)).collect();
    corners
        .windows(3)
        .map(|corner| {
            let (low, peak, high) = (corner[0], corner[1], corner[2]);
            let weight = |bin: usize| {
                let hertz = nyquist * bin as f64 / (SPECTRUM - 1) as f64;
                let slope = ((hertz - low) / (peak - low)).min((high - hertz) / (high - peak));
                (slope.max(0.0) * 2.0 / (high - low)) as f32
            };
            let first = (0..SPECTRUM).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..SPECTRUM).map(weight).take_while(|&w| w > 0.0).collect();
            Filter { first, weights }
        })
        .collect()
}

/// Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, logarithmic above.
const HERTZ_PER_MEL: f64 = 200.0 / 3.0;
const KNEE_HERTZ: f64 = 1000.0;
const KNEE_MEL: f64 = KNEE_HERTZ / HERTZ_PER_MEL;

/// Growth per mel above the knee: a factor of 6.4 in 27 steps.
fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hertz_to_mel(hertz: f64) -> f64 {
    if hertz < KNEE_HERTZ { hertz / HERTZ_PER_MEL } else { KNEE_MEL + (hertz / KNEE_HERTZ).ln() / log_step() }
}

fn mel_to_hertz(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * HERTZ_PER_MEL } else { KNEE_HERTZ * ((mel - KNEE_MEL) * log_step()).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triangles_are_those_of_openais_table() {
        for bins in [80, 128] {
            let path = format!("{}/../../tests/data/mel/filters-{bins}.bin", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(path).unwrap();
            let recorded: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            // Per band, the sum of the weights and the sum of weight times frequency index.
            let (areas, moments) = recorded.split_at(bins);
            for (band, filter) in slaney_filters(bins).iter().enumerate() {
                let area: f32 = filter.weights.iter().sum();
                let moment: f32 = filter.weights.iter().zip(filter.first..).map(|(w, i)| w * i as f32).sum();
                assert!((area / areas[band] - 1.0).abs() < 1e-5, "{bins} bands, band {band}: area {area}");
                assert!((moment / moments[band] - 1.0).abs() < 1e-5, "{bins} bands, band {band}: centre");
            }
        }
    }
}
