//! Many channels to one, by what they hold.

use symphonia::core::audio::{Channels, Position};

/// Which channels are heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mix {
    /// All of them, each by its place.
    #[default]
    Mean,
    /// One alone, counted from 0.
    One(usize),
}

/// Beyond this a sample is no sound but a broken number: 80 dB above full scale.
const MAX_SAMPLE: f32 = 1e4;

/// Channels whose energy is looked at; more are mixed, but never heard alone.
const MEASURED: usize = 8;

/// The share of each channel in the mean. Voices of a film are in its centre, and its effects in
/// the low-frequency channel; ITU-R BS.775 mixes a front of three with 0.7 for the sides and 0.5
/// for the rear.
pub(super) fn weights(channels: &Channels) -> Vec<f32> {
    let count = channels.count();
    let Channels::Positioned(positions) = channels else { return vec![1.0; count] };
    by_position(&positions.iter().collect::<Vec<_>>())
}

/// The same for Vorbis' order of channels, which Opus shares (RFC 7845, section 5.1.1.2).
pub(super) fn weights_in_vorbis_order(count: usize) -> Vec<f32> {
    const LEFT: Position = Position::FRONT_LEFT;
    const CENTRE: Position = Position::FRONT_CENTER;
    const RIGHT: Position = Position::FRONT_RIGHT;
    const REAR: Position = Position::REAR_LEFT;
    const LOW: Position = Position::LFE1;
    match count {
        5 => by_position(&[LEFT, CENTRE, RIGHT, REAR, REAR]),
        6 => by_position(&[LEFT, CENTRE, RIGHT, REAR, REAR, LOW]),
        7 => by_position(&[LEFT, CENTRE, RIGHT, REAR, REAR, REAR, LOW]),
        8 => by_position(&[LEFT, CENTRE, RIGHT, REAR, REAR, REAR, REAR, LOW]),
        _ => vec![1.0; count],
    }
}

fn by_position(positions: &[Position]) -> Vec<f32> {
    // Up to four channels, a file that only counts them may mean anything.
    let centred = positions.len() > 4 && positions.contains(&Position::FRONT_CENTER);
    let weight = |position: &Position| match *position {
        Position::LFE1 | Position::LFE2 if centred => 0.0,
        Position::FRONT_CENTER => 1.0,
        Position::FRONT_LEFT | Position::FRONT_RIGHT if centred => 0.7,
        _ if centred => 0.5,
        _ => 1.0,
    };
    positions.iter().map(weight).collect()
}

/// Mixes frames and measures what each channel holds.
#[derive(Debug, Default)]
pub(super) struct Mixer {
    mix: Mix,
    weights: Vec<f32>,
    last: [f32; MEASURED],
    last_mean: f32,
    /// Energy of each channel, and of the mean.
    energy: [f64; MEASURED],
    mean: f64,
}

impl Mixer {
    pub(super) fn new(mix: Mix) -> Self {
        Self { mix, ..Self::default() }
    }

    /// Tells the weights of the frames that follow.
    pub(super) fn set(&mut self, weights: &[f32]) {
        if self.weights != weights {
            self.weights = weights.to_vec();
        }
    }

    /// One sample of each frame. A broken number would spread through the resampler into every
    /// later sample, so it becomes silence.
    pub(super) fn mix(&mut self, interleaved: &[f32], channels: usize, out: &mut Vec<f32>) {
        let whole = vec![1.0; channels];
        let weights = if self.weights.len() == channels { std::mem::take(&mut self.weights) } else { whole };
        let total: f32 = weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        for frame in interleaved.chunks_exact(channels.max(1)) {
            let mut sum = 0.0;
            for (channel, (sample, weight)) in frame.iter().zip(&weights).enumerate() {
                let sample = sound(*sample);
                sum += sample * weight;
                if channel < MEASURED {
                    self.measure(channel, sample);
                }
            }
            let mean = sum / total;
            self.mean += f64::from(mean - 0.95 * self.last_mean).powi(2);
            self.last_mean = mean;
            out.push(match self.mix {
                Mix::Mean => mean,
                Mix::One(channel) => frame.get(channel).map_or(0.0, |sample| sound(*sample)),
            });
        }
        self.weights = weights;
    }

    /// Energy without offset and rumble, by the difference of neighbours.
    fn measure(&mut self, channel: usize, sample: f32) {
        self.energy[channel] += f64::from(sample - 0.95 * self.last[channel]).powi(2);
        self.last[channel] = sample;
    }

    /// Channels that hold anything, loudest first.
    pub(super) fn loudest(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..MEASURED).filter(|channel| self.energy[*channel] > 0.0).collect();
        order.sort_by(|a, b| self.energy[*b].total_cmp(&self.energy[*a]));
        order
    }

    /// Whether the channels take each other away, as those of a balanced cable on a stereo input
    /// do: the mean has less than a hundredth of what the loudest holds.
    pub(super) fn cancels(&self) -> bool {
        let loudest = self.energy.iter().copied().fold(0.0, f64::max);
        loudest > 0.0 && self.mean < loudest / 100.0
    }
}

fn sound(sample: f32) -> f32 {
    if sample.is_finite() && sample.abs() <= MAX_SAMPLE { sample } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(frames: &[f32], channels: usize) -> (Vec<f32>, Mixer) {
        let (mut mixer, mut out) = (Mixer::default(), Vec::new());
        mixer.mix(frames, channels, &mut out);
        (out, mixer)
    }

    #[test]
    fn opposite_channels_cancel_and_others_do_not() {
        let wave: Vec<f32> = (0..100).map(|n| (n as f32).sin()).collect();
        let opposite: Vec<f32> = wave.iter().flat_map(|s| [*s, -*s]).collect();
        assert!(mixed(&opposite, 2).1.cancels());
        let one_sided: Vec<f32> = wave.iter().flat_map(|s| [0.0, *s]).collect();
        let (out, mixer) = mixed(&one_sided, 2);
        assert!(!mixer.cancels());
        assert_eq!((out[1], mixer.loudest()), (wave[1] / 2.0, vec![1]));
        assert!(!mixed(&[0.0; 20], 2).1.cancels());
    }

    #[test]
    fn a_centre_counts_most_and_low_frequencies_nothing() {
        let film = Channels::Positioned(
            Position::FRONT_LEFT
                | Position::FRONT_RIGHT
                | Position::FRONT_CENTER
                | Position::LFE1
                | Position::REAR_LEFT
                | Position::REAR_RIGHT,
        );
        assert_eq!(weights(&film), [0.7, 0.7, 1.0, 0.0, 0.5, 0.5]);
        assert_eq!(weights_in_vorbis_order(6), [0.7, 1.0, 0.7, 0.5, 0.5, 0.0]);
        assert_eq!(weights(&Channels::Discrete(4)), [1.0; 4]);
    }
}
