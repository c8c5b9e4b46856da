//! One window of three seconds: speech, silence, or what has no syllables.

use super::Verdict;
use super::frames::{BINS, FRAME, Spectrum};
use crate::audio::SAMPLE_RATE;

/// A window whose loudest 80 ms stay below this is silent, in dB below full scale. Recordings are
/// brought to a level before; the quietest of the test recordings still reaches -62 after 40 dB of
/// attenuation, and 16-bit dither lies at -96.
pub const SILENCE_DBFS: f32 = -72.0;

/// Least swing of a band's level (95th less 10th percentile, in dB) that counts as syllables.
/// White to brown noise was measured to stay below 4.2 in every window; the test recordings with
/// noise 5 dB below them still swing by 13 and more.
pub const MIN_SWING_DB: f32 = 7.0;

/// A tone: this share of a frame's energy lies within two bins (63 Hz) of its peak.
pub const TONE_SHARE: f32 = 0.9;

/// A frequency stands still if its level swings by less than this, in dB. Those of noise swing by
/// 13 (the power of one is distributed exponentially), those of speech by more.
const STEADY_DB: f32 = 6.0;

/// What is left without the standing tones must not lie further below the whole than this, in dB:
/// it would be the rounding of the tones, and nothing that a model understands.
const MAX_HIDDEN_DB: f32 = 40.0;

/// Below this many frames (1 s) the swing of a steady sound cannot be told from a single word.
const MIN_WINDOW: usize = 62;

/// Edges of the bands in Hz: pitch and first formant, the formants, the sibilants.
const EDGES: [usize; 6] = [100, 400, 1000, 2000, 4000, 7500];
const BANDS: usize = EDGES.len() - 1;

/// Frames over which a level is averaged: 80 ms, shorter than a syllable.
const SMOOTH: usize = 5;

/// Added to every band's power (-90 dBFS), so that rounding noise has no swing.
const FLOOR: f32 = 1e-9;

/// A frame may be part of a word if a band that has syllables is this share of its swing above its
/// floor.
const ACTIVE_SHARE: f32 = 0.3;

pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// By frame, whether it may be part of a word; of use where the verdict is speech.
    pub(super) active: Vec<bool>,
}

pub(super) fn judge(frames: &[Spectrum]) -> Judged {
    let total = |frame: &Spectrum| sum(frame);
    let loudest = |levels: Vec<f32>| levels.into_iter().fold(f32::MIN, f32::max);
    let silent = |verdict| Judged { verdict, active: Vec::new() };
    let whole = loudest(smoothed(frames, total));
    if whole < SILENCE_DBFS {
        return silent(Verdict::Silence);
    }
    let steady = steady_bins(frames);
    let moving =
        |frame: &Spectrum| -> Spectrum { std::array::from_fn(|bin| if steady[bin] { 0.0 } else { frame[bin] }) };
    let moving: Vec<Spectrum> = frames.iter().map(moving).collect();
    let left = loudest(smoothed(&moving, total));
    if left < SILENCE_DBFS.max(whole - MAX_HIDDEN_DB) || is_one_tone(&moving) {
        return silent(Verdict::Steady);
    }
    let bin = |hertz: usize| hertz * FRAME / SAMPLE_RATE as usize;
    let band = |band: usize| smoothed(&moving, |frame| sum(&frame[bin(EDGES[band])..bin(EDGES[band + 1])]));
    let bands: Vec<Vec<f32>> = (0..BANDS).map(band).collect();
    let active = active(&bands, frames.len());
    match active.is_empty() && frames.len() >= MIN_WINDOW {
        true => silent(Verdict::Steady),
        false if active.is_empty() => Judged { verdict: Verdict::Speech, active: vec![true; frames.len()] },
        false => Judged { verdict: Verdict::Speech, active },
    }
}

/// Frames that any band with syllables lifts above its floor; none if no band has any.
fn active(bands: &[Vec<f32>], frames: usize) -> Vec<bool> {
    let mut active = Vec::new();
    for levels in bands {
        let (low, high) = percentiles(levels);
        if high - low < MIN_SWING_DB {
            continue;
        }
        active.resize(frames, false);
        let threshold = low + ACTIVE_SHARE * (high - low);
        for (first, _) in levels.iter().enumerate().filter(|(_, level)| **level >= threshold) {
            let last = (first + SMOOTH).min(frames);
            active[first..last].fill(true);
        }
    }
    active
}

/// Running mean of a power over [`SMOOTH`] frames, in dB.
fn smoothed(frames: &[Spectrum], power: impl Fn(&Spectrum) -> f32) -> Vec<f32> {
    let width = SMOOTH.min(frames.len()).max(1);
    let powers: Vec<f32> = frames.iter().map(power).collect();
    let mean = |run: &[f32]| run.iter().sum::<f32>() / width as f32;
    powers.windows(width).map(|run| 10.0 * (mean(run) + FLOOR).log10()).collect()
}

/// Shares of values below the two percentiles of a swing.
const LOW: f32 = 0.10;
const HIGH: f32 = 0.95;

/// Where a percentile lies among so many sorted values.
fn place(values: usize, share: f32) -> usize {
    ((values - 1) as f32 * share).round() as usize
}

/// The 10th and the 95th percentile.
fn percentiles(values: &[f32]) -> (f32, f32) {
    let mut values = values.to_vec();
    let (low, high) = (place(values.len(), LOW), place(values.len(), HIGH));
    let high_value = *values.select_nth_unstable_by(high, f32::total_cmp).1;
    // What is left of the high one is no larger.
    let low_value =
        if low == high { high_value } else { *values[..high].select_nth_unstable_by(low, f32::total_cmp).1 };
    (low_value, high_value)
}

/// Frequencies that stand still: hum and whine. Nothing of a voice does, so leaving them out takes
/// no voice away, but what they hide comes to light.
fn steady_bins(frames: &[Spectrum]) -> Vec<bool> {
    if frames.len() < MIN_WINDOW {
        return vec![false; BINS];
    }
    let swings = swinging_bins(frames);
    let is_steady = |bin: usize| {
        let powers: Vec<f32> = frames.iter().map(|frame| frame[bin]).collect();
        let (low, high) = percentiles(&powers);
        10.0 * ((high + f32::MIN_POSITIVE) / (low + f32::MIN_POSITIVE)).log10() < STEADY_DB
    };
    (0..BINS).map(|bin| !swings[bin] && is_steady(bin)).collect()
}

/// Frequencies that certainly swing: so many frames lie below a third of the mean that the low
/// percentile does, and so many above 1.4 times the mean that the high one does. It holds for nearly
/// all of noise and speech, and counting takes a tenth of the time of two percentiles.
fn swinging_bins(frames: &[Spectrum]) -> [bool; BINS] {
    let (mut means, mut below, mut above) = ([0f32; BINS], [0u32; BINS], [0u32; BINS]);
    for frame in frames {
        means.iter_mut().zip(frame).for_each(|(mean, power)| *mean += power);
    }
    means.iter_mut().for_each(|mean| *mean /= frames.len() as f32);
    for frame in frames {
        for bin in 0..BINS {
            below[bin] += u32::from(3.0 * frame[bin] <= means[bin]);
            above[bin] += u32::from(frame[bin] >= 1.4 * means[bin]);
        }
    }
    let count = |share: f32| place(frames.len(), share) as u32;
    let (low, high) = (count(LOW) + 1, frames.len() as u32 - count(HIGH));
    std::array::from_fn(|bin| means[bin] > f32::MIN_POSITIVE * 1e6 && below[bin] >= low && above[bin] >= high)
}

/// The sum of some powers: of sixteen at a time, for one after the other each waits for the one before.
fn sum(powers: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (blocks, rest) = powers.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, power)| *sum += power);
    }
    sums.iter().chain(rest).sum()
}

/// Whether nine in ten of the loud frames (within 20 dB of the loudest) hold one and the same
/// tone, which may come and go as the beeps of a telephone do.
fn is_one_tone(frames: &[Spectrum]) -> bool {
    let powers: Vec<f32> = frames.iter().map(|frame| sum(frame)).collect();
    let loudest = powers.iter().copied().fold(0.0, f32::max);
    let loud = frames.iter().zip(&powers).filter(|(_, power)| **power >= loudest * 0.01);
    let peaks: Vec<(usize, f32)> = loud.map(|(frame, power)| peak(frame, *power)).collect();
    let mut places: Vec<usize> = peaks.iter().map(|(place, _)| *place).collect();
    places.sort_unstable();
    let Some(&pitch) = places.get(places.len() / 2) else {
        return false;
    };
    let tones = peaks.iter().filter(|(place, share)| *share >= TONE_SHARE && place.abs_diff(pitch) <= 1).count();
    tones * 10 >= peaks.len() * 9
}

/// The frequency with the most energy, and the share of the energy within two bins of it.
fn peak(frame: &Spectrum, power: f32) -> (usize, f32) {
    let place = (0..BINS).max_by(|a, b| frame[*a].total_cmp(&frame[*b])).unwrap_or(0);
    let near = frame[place.saturating_sub(2)..(place + 3).min(BINS)].iter().sum::<f32>();
    (place, near / (power + f32::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_certainly_swings_is_not_steady_by_its_percentiles_either() {
        let mut state = 7u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        // From hum, bin after bin, to noise and to sound in one frame of ten.
        let frame = |draw: &mut dyn FnMut() -> f32| -> Spectrum {
            std::array::from_fn(|bin| (bin as f32 / 16.0 * draw()).exp() * if draw() < 0.1 { bin as f32 } else { 1.0 })
        };
        let frames: Vec<Spectrum> = (0..188).map(|_| frame(&mut draw)).collect();
        let swings = swinging_bins(&frames);
        assert!(swings.iter().any(|swings| *swings) && swings.iter().any(|swings| !swings));
        for bin in (0..BINS).filter(|bin| swings[*bin]) {
            let (low, high) = percentiles(&frames.iter().map(|frame| frame[bin]).collect::<Vec<_>>());
            assert!(10.0 * (high / low).log10() >= STEADY_DB, "{bin}: {low} {high}");
        }
    }
}
