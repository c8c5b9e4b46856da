//! The power spectrum of every 16 ms, kept as long as a window looks at it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Samples of a frame: 32 ms.
pub(super) const FRAME: usize = 512;
/// Samples from one frame to the next.
pub(super) const HOP: usize = 256;
/// Frequencies of a frame, 31.25 Hz each.
pub(super) const BINS: usize = FRAME / 2;

/// Mean squares by frequency; full scale is 1.
pub(super) type Spectrum = [f32; BINS];

pub(super) struct Frames<'a> {
    samples: &'a [f32],
    /// Number of the first frame that is kept.
    first: usize,
    kept: VecDeque<Spectrum>,
    hann: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(samples: &'a [f32]) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FRAME);
        let turn = std::f32::consts::TAU / FRAME as f32;
        Self {
            samples,
            first: 0,
            kept: VecDeque::new(),
            hann: (0..FRAME).map(|n| 0.5 - 0.5 * (turn * n as f32).cos()).collect(),
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// The frames of a range; what lies before it is given up.
    pub(super) fn range(&mut self, wanted: Range<usize>) -> &[Spectrum] {
        while self.first < wanted.start && self.kept.pop_front().is_some() {
            self.first += 1;
        }
        if self.kept.is_empty() {
            self.first = wanted.start;
        }
        while self.first + self.kept.len() < wanted.end {
            let next = self.frame((self.first + self.kept.len()) * HOP);
            self.kept.push_back(next);
        }
        self.kept.make_contiguous()
    }

    fn frame(&mut self, start: usize) -> Spectrum {
        for ((value, weight), sample) in self.input.iter_mut().zip(&self.hann).zip(&self.samples[start..]) {
            *value = weight * sample;
        }
        // The only error is a wrong buffer length, and the planner made these buffers.
        let done = self.fft.process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok());
        // Parseval, both halves of the spectrum, and the window's mean square of 3/8.
        let scale = 2.0 / (FRAME as f32 * FRAME as f32 * 0.375);
        // Below 62 Hz lie offset and rumble.
        std::array::from_fn(|bin| if bin < 2 { 0.0 } else { self.spectrum[bin].norm_sqr() * scale })
    }
}
