//! Where decoded samples go: trimmed, counted against the budget, mixed down, resampled.

use super::mix::{Mix, Mixer};
use super::resample::Resampler;
use super::{AudioError, Budget, SAMPLE_RATE};

/// Most silence that is pushed at once, in frames.
const SILENCE_BLOCK: usize = 4096;

/// The part of a track that is meant to be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Heard {
    /// Seconds to drop at the start: the encoder's delay.
    pub(super) skip: f64,
    /// Seconds to keep after that, if the container says so.
    pub(super) keep: Option<f64>,
}

/// Takes the parts of a file one after the other.
pub(super) struct Sink<'a> {
    budget: &'a Budget,
    heard: Heard,
    /// Seconds of this part that came so far, those before its start included.
    position: f64,
    samples_seen: u64,
    resampler: Option<Resampler>,
    mono: Vec<f32>,
    out: Vec<f32>,
    rate: u32,
    pub(super) mixer: Mixer,
}

impl<'a> Sink<'a> {
    pub(super) fn new(budget: &'a Budget, mix: Mix) -> Self {
        Self {
            budget,
            heard: Heard::default(),
            position: 0.0,
            samples_seen: 0,
            resampler: None,
            mono: Vec::new(),
            out: Vec::new(),
            rate: SAMPLE_RATE,
            mixer: Mixer::new(mix),
        }
    }

    /// Begins the next part.
    pub(super) fn begin(&mut self, heard: Heard) {
        self.heard = heard;
        self.position = 0.0;
    }

    /// Samples at 16 kHz so far; a few are still in the resampler.
    pub(super) fn samples(&self) -> usize {
        self.out.len()
    }

    /// Seconds of sound so far.
    fn seconds(&self) -> f64 {
        let ahead = self.resampler.as_ref().map_or(0.0, Resampler::pending_seconds);
        self.out.len() as f64 / f64::from(SAMPLE_RATE) + ahead
    }

    /// Refuses early what says itself that it is too long.
    pub(super) fn announce(&self, seconds: f64) -> Result<(), AudioError> {
        let seconds = self.seconds() + seconds;
        let max = self.budget.max_seconds;
        if seconds > max { Err(AudioError::TooLong { seconds, max }) } else { Ok(()) }
    }

    /// Takes interleaved samples. A change of rate in mid-stream is followed.
    pub(super) fn push(&mut self, interleaved: &[f32], channels: usize, rate: u32) -> Result<(), AudioError> {
        let frames = interleaved.len() / channels.max(1);
        let wanted = self.wanted(frames, rate);
        self.spend(interleaved.len() as u64, wanted.len(), rate)?;
        let wanted = &interleaved[wanted.start * channels..wanted.end * channels];
        self.mono.clear();
        self.mixer.mix(wanted, channels, &mut self.mono);
        self.feed(rate)
    }

    /// Stands in for packets that the source left out or lost.
    pub(super) fn push_silence(&mut self, seconds: f64) -> Result<(), AudioError> {
        let silence = [0.0; SILENCE_BLOCK];
        let rate = self.rate;
        let mut frames = (seconds.min(self.budget.max_seconds + 1.0) * f64::from(rate)) as usize;
        while frames > 0 {
            let now = frames.min(SILENCE_BLOCK);
            let wanted = self.wanted(now, rate);
            self.spend(now as u64, wanted.len(), rate)?;
            self.mono.clear();
            self.mono.extend(&silence[wanted]);
            self.feed(rate)?;
            frames -= now;
        }
        Ok(())
    }

    /// The whole recording at 16 kHz, and what its channels hold.
    pub(super) fn finish(mut self) -> Result<(Vec<f32>, Mixer), AudioError> {
        self.flush()?;
        Ok((self.out, self.mixer))
    }

    /// Which of the next `frames` are to be heard; moves the position behind them.
    fn wanted(&mut self, frames: usize, rate: u32) -> std::ops::Range<usize> {
        let rate = f64::from(rate);
        let start = ((self.heard.skip - self.position) * rate).round().clamp(0.0, frames as f64);
        let end = self.heard.keep.map_or(frames as f64, |keep| {
            ((self.heard.skip + keep - self.position) * rate).round().clamp(start, frames as f64)
        });
        self.position += frames as f64 / rate;
        start as usize..end as usize
    }

    fn spend(&mut self, samples: u64, frames: usize, rate: u32) -> Result<(), AudioError> {
        self.samples_seen = self.samples_seen.saturating_add(samples);
        if self.samples_seen > self.budget.max_samples {
            return Err(AudioError::TooManySamples { samples: self.samples_seen, max: self.budget.max_samples });
        }
        self.announce(frames as f64 / f64::from(rate))
    }

    fn feed(&mut self, rate: u32) -> Result<(), AudioError> {
        if self.resampler.is_none() || self.rate != rate {
            self.flush()?;
            self.resampler = Some(Resampler::new(rate)?);
            self.rate = rate;
        }
        match &mut self.resampler {
            Some(resampler) => resampler.push(&self.mono, &mut self.out),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), AudioError> {
        self.resampler.take().map_or(Ok(()), |resampler| resampler.finish(&mut self.out))
    }
}
