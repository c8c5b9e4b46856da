//! Brings a recording to a level that a model was trained on.

/// The share of samples that may lie beyond what is called the peak: one click is none.
const CLICKS: f64 = 1e-4;

/// A recording whose peak is below this is raised: -40 dBFS.
const QUIET: f32 = 0.01;
/// To this: -20 dBFS.
const RAISED: f32 = 0.1;

/// Below this many steps of the source's own numbers there is nothing to raise.
const STEPS: f32 = 8.0;

/// A source of floats has no steps; below -120 dBFS it holds the rounding of other programs.
const FLOAT_STEP: f32 = 1e-6 / STEPS;

/// Scales what is too loud or too quiet; `bits` are those of a sample of the source, none for
/// floats. Float files may go beyond full scale without any harm to their sound.
pub(super) fn level(samples: &mut [f32], bits: Option<u32>) {
    let peak = peak(samples);
    let step = bits.map_or(FLOAT_STEP, |bits| 2f32.powi(1 - bits.clamp(1, 32).cast_signed()));
    let gain = match peak {
        peak if peak > 1.0 => 1.0 / peak,
        peak if peak < QUIET && peak > STEPS * step => RAISED / peak,
        _ => 1.0,
    };
    for sample in samples {
        *sample = (*sample * gain).clamp(-1.0, 1.0);
    }
}

/// The level below which all but a few samples lie, to an eighth of an octave.
fn peak(samples: &[f32]) -> f32 {
    // The upper bits of a float that is not negative count octaves and their eighths.
    const SHIFT: u32 = 20;
    let mut counts = vec![0_u64; 1 << (31 - SHIFT)];
    for sample in samples {
        counts[(sample.abs().to_bits() >> SHIFT) as usize] += 1;
    }
    let mut left = (samples.len() as f64 * CLICKS) as u64;
    for (bucket, count) in counts.iter().enumerate().rev() {
        if *count > left {
            return f32::from_bits((bucket as u32 + 1) << SHIFT);
        }
        left -= count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(peak: f32) -> Vec<f32> {
        (0..20_000).map(|n| peak * (n as f32 * 0.3).sin()).collect()
    }

    fn levelled(peak: f32, bits: Option<u32>) -> f32 {
        let mut samples = wave(peak);
        level(&mut samples, bits);
        samples.iter().fold(0.0, |a: f32, b| a.max(b.abs()))
    }

    #[test]
    fn beyond_full_scale_is_scaled_and_within_it_nothing_changes() {
        assert!((0.85..=1.0).contains(&levelled(31.6, None)));
        assert!((levelled(0.9, None) - 0.9).abs() < 1e-6);
        assert!((levelled(0.05, Some(16)) - 0.05).abs() < 1e-6);
    }

    #[test]
    fn quiet_is_raised_unless_it_is_the_rounding_of_the_source() {
        assert!((0.08..=0.1).contains(&levelled(3e-4, None)));
        assert!((0.08..=0.1).contains(&levelled(3e-3, Some(16))));
        assert!(levelled(3e-5, Some(16)) < 4e-5);
        assert_eq!(levelled(0.0, None), 0.0);
    }

    #[test]
    fn one_click_does_not_make_the_rest_quiet() {
        let mut samples = wave(0.5);
        samples[100] = 1000.0;
        level(&mut samples, None);
        assert!((samples[5] - wave(0.5)[5]).abs() < 1e-6);
        assert_eq!(samples[100], 1.0);
    }
}
