//! Any rate to 16 kHz, in blocks, with the filter's delay taken out again.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _, WindowFunction};

use super::{AudioError, SAMPLE_RATE};

/// Frames per FFT block, about: long enough that the anti-aliasing filter leaves the band up to
/// 7.4 kHz untouched when it comes from 48 kHz.
const BLOCK: usize = 2048;

/// Longest period, in frames, after which the two rates meet again. Real rates have at most 11,127
/// (22,254 Hz, early Macs); a prime like 383,987 Hz would take a second and 75 MB to prepare.
const MAX_PERIOD: u32 = 48_000;

/// Streams one channel from its own rate to [`SAMPLE_RATE`].
pub(super) struct Resampler {
    /// `None` where the source has 16 kHz already and passes untouched.
    fft: Option<Fft<f32>>,
    rate: u32,
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Frames of the filter's delay that are still to be dropped.
    to_drop: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    pub(super) fn new(rate: u32) -> Result<Self, AudioError> {
        let rate = affordable(rate);
        let fft = (rate != SAMPLE_RATE).then(|| open(rate)).transpose()?;
        let block = vec![0.0; fft.as_ref().map_or(0, |fft| fft.output_frames_max())];
        let to_drop = fft.as_ref().map_or(0, |fft| fft.output_delay());
        Ok(Self { fft, rate, pending: Vec::new(), block, to_drop, taken: 0, given: 0 })
    }

    /// Seconds that were taken but not yet given back.
    pub(super) fn pending_seconds(&self) -> f64 {
        self.taken as f64 / f64::from(self.rate) - self.given as f64 / f64::from(SAMPLE_RATE)
    }

    /// Takes samples at the source's rate and appends what is ready.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.taken += samples.len() as u64;
        let Some(fft) = &self.fft else {
            self.given += samples.len() as u64;
            out.extend_from_slice(samples);
            return Ok(());
        };
        let need = fft.input_frames_next();
        self.pending.extend_from_slice(samples);
        let whole = self.pending.len() / need * need;
        for start in (0..whole).step_by(need) {
            self.process(start, need, out)?;
        }
        self.pending.drain(..whole);
        Ok(())
    }

    /// Appends the rest, so that the output is as long as the input in seconds.
    pub(super) fn finish(mut self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let rest = self.pending.len();
        let expected = (self.taken * u64::from(SAMPLE_RATE)).div_ceil(self.rate.into());
        if self.fft.is_some() {
            let mut partial = rest;
            while self.given < expected {
                self.process(0, partial, out)?;
                partial = 0;
            }
        }
        let surplus = self.given.saturating_sub(expected) as usize;
        out.truncate(out.len() - surplus);
        Ok(())
    }

    /// Sends `frames` pending frames (and silence up to a whole block) through the filter.
    fn process(&mut self, start: usize, frames: usize, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let Some(fft) = &mut self.fft else {
            return Ok(());
        };
        let block_len = self.block.len();
        let input = &self.pending[start..start + frames];
        let input = InterleavedSlice::new(input, 1, frames).map_err(refused)?;
        let mut output = InterleavedSlice::new_mut(&mut self.block, 1, block_len).map_err(refused)?;
        let indexing = Indexing::new().partial_len(frames);
        let (_, got) = fft.process_into_buffer(&input, &mut output, Some(&indexing)).map_err(refused)?;
        let drop = self.to_drop.min(got);
        self.to_drop -= drop;
        self.given += (got - drop) as u64;
        out.extend_from_slice(&self.block[drop..got]);
        Ok(())
    }
}

/// Both block lengths fixed: the ratio is exact and the delay, half a block, constant. An odd
/// block would end the delay between two samples, half a sample off on the source's side.
fn open(rate: u32) -> Result<Fft<f32>, AudioError> {
    let (source, target) = (rate as usize, SAMPLE_RATE as usize);
    let shortest = source / greatest_common_divisor(source, target);
    let repeats = BLOCK.div_ceil(shortest).next_multiple_of(2);
    let window = WindowFunction::BlackmanHarris2;
    Fft::new_custom(source, target, shortest * repeats, 1, 1, window, FixedSync::Both).map_err(refused)
}

/// The rate itself, or where that has too long a period one beside it, less than 0.02 % away.
fn affordable(rate: u32) -> u32 {
    let period = rate / greatest_common_divisor(rate as usize, SAMPLE_RATE as usize) as u32;
    if period > MAX_PERIOD { (rate + 8) / 16 * 16 } else { rate }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> AudioError {
    AudioError::Resample(Box::new(error))
}
