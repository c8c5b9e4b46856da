//! Resampling and mixing down.

use std::f64::consts::TAU;

use crate::heard;
use crate::wav::float_wav;

fn tone(hertz: f64, rate: u32, seconds: f64) -> Vec<f32> {
    let samples = (f64::from(rate) * seconds) as usize;
    (0..samples).map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

#[test]
fn a_sweep_keeps_its_time_and_amplitude_at_any_rate() {
    // From 50 Hz to just below what both rates can hold, in one second.
    for rate in [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 44_101, 48_000, 96_000, 192_000] {
        let top = f64::from(rate.min(16_000)) * 0.44;
        let sweep = |rate: u32| -> Vec<f32> {
            let at = |n: u32| f64::from(n) / f64::from(rate);
            (0..rate)
                .map(|n| (0.5 * (TAU * (50.0 * at(n) + (top - 50.0) * at(n) * at(n) / 2.0)).sin()) as f32)
                .collect()
        };
        let got = heard(&float_wav(rate, 1, &sweep(rate))).unwrap();
        assert_eq!(got.samples.len(), 16_000, "{rate} Hz");
        // The ends are cut hard, which no band-limited signal can follow.
        let truth = sweep(16_000);
        let worst = (400..15_600).map(|n| (got.samples[n] - truth[n]).abs()).fold(0.0, f32::max);
        assert!(worst < 0.01, "{rate} Hz: off by {worst}");
    }
}

#[test]
fn what_16_khz_cannot_hold_leaves_no_alias() {
    for (hertz, rate) in
        [(8600.0, 44_100), (8600.0, 48_000), (12_000.0, 48_000), (20_000.0, 44_100), (40_000.0, 96_000)]
    {
        let got = heard(&float_wav(rate, 1, &tone(hertz, rate, 1.0))).unwrap();
        let middle = &got.samples[2000..14_000];
        let loudest = middle.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(loudest < 0.5e-3, "{hertz} Hz at {rate}: {loudest} of 0.5 is left");
    }
}

#[test]
fn s08_channels_are_averaged_and_bad_numbers_silenced() {
    let opposite: Vec<f32> = tone(440.0, 16_000, 0.5).iter().flat_map(|&s| [s, -s, 0.25, 0.75]).collect();
    let got = heard(&float_wav(16_000, 4, &opposite)).unwrap();
    assert!(got.samples.iter().all(|s| (s - 0.25).abs() < 1e-6));

    let mut wild = tone(440.0, 44_100, 0.5);
    wild[1000] = f32::NAN;
    wild[2000] = f32::INFINITY;
    wild[3000] = f32::NEG_INFINITY;
    wild[4000] = 1e30;
    let got = heard(&float_wav(44_100, 1, &wild)).unwrap();
    assert!(got.samples.iter().all(|s| s.is_finite() && s.abs() < 1.6));
    let clean = heard(&float_wav(44_100, 1, &tone(440.0, 44_100, 0.5))).unwrap();
    assert!((got.samples[6000] - clean.samples[6000]).abs() < 1e-3, "the damage stays where it was");
}
