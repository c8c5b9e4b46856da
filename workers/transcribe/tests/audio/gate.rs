//! The gate lets every voice pass, however quiet or noisy, and stops what has no syllables.

use std::f32::consts::TAU;

use shanshui_transcribe::gate::{Verdict, signal};

use crate::{bytes, heard};

const SPEECH: [&str; 6] = [
    "apple.wav",
    "mountains.wav",
    "cat.wav",
    "jfk.flac",
    "librispeech-1995-1837-0001.wav",
    "aishell-BAC009S0724W0121.wav",
];

fn samples(name: &str) -> Vec<f32> {
    heard(&bytes(&format!("speech/{name}"))).unwrap().samples
}

fn power(sound: &[f32]) -> f32 {
    sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32
}

/// Noise of unit variance; `colour` 0 is white, 0.97 falls by 6 dB an octave from 80 Hz on.
fn noise(length: usize, colour: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut last = 0.0;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut white = move || (0..12).map(|_| uniform()).sum::<f32>();
    let sound: Vec<f32> = (0..length)
        .map(|_| {
            last = colour * last + white();
            last
        })
        .collect();
    let scale = power(&sound).sqrt();
    sound.iter().map(|s| s / scale).collect()
}

fn tone(hertz: f32, seconds: f32) -> Vec<f32> {
    (0..(16_000.0 * seconds) as u32).map(|n| 0.3 * (TAU * hertz * n as f32 / 16_000.0).sin()).collect()
}

fn gained(sound: &[f32], decibels: f32) -> Vec<f32> {
    sound.iter().map(|s| s * 10f32.powf(decibels / 20.0)).collect()
}

/// Mixes noise in, `decibels` below the speech.
fn in_noise(speech: &[f32], colour: f32, decibels: f32) -> Vec<f32> {
    let level = (power(speech)).sqrt() * 10f32.powf(-decibels / 20.0);
    speech.iter().zip(noise(speech.len(), colour, 5)).map(|(s, n)| s + level * n).collect()
}

#[test]
fn every_recording_passes_loud_quiet_and_in_noise() {
    for name in SPEECH {
        let speech = samples(name);
        assert_eq!(signal(&speech), Verdict::Speech, "{name}");
        assert_eq!(signal(&gained(&speech, -40.0)), Verdict::Speech, "{name} at -40 dB");
        for colour in [0.0, 0.9, 0.97] {
            for decibels in [20.0, 10.0, 5.0] {
                let noisy = in_noise(&speech, colour, decibels);
                assert_eq!(signal(&noisy), Verdict::Speech, "{name} at {decibels} dB of colour {colour}");
                assert_eq!(signal(&gained(&noisy, -30.0)), Verdict::Speech, "{name}, quiet and noisy");
            }
        }
    }
}

#[test]
fn a_word_in_five_minutes_of_noise_passes() {
    let word = &samples("apple.wav")[8000..20_000];
    let mut sound = gained(&noise(300 * 16_000, 0.0, 3), -40.0);
    for (sample, spoken) in sound[2_000_000..].iter_mut().zip(word) {
        *sample += spoken;
    }
    assert_eq!(signal(&sound), Verdict::Speech);
}

#[test]
fn s05_short_words_pass_from_100_ms_on() {
    let speech = samples("cat.wav");
    for length in [1600, 3200, 8000, 15_000] {
        assert_eq!(signal(&speech[8000..8000 + length]), Verdict::Speech, "{length} samples");
    }
    for length in [0, 1, 1584, 1599] {
        assert_eq!(signal(&speech[8000..8000 + length]), Verdict::Silence, "{length} samples");
    }
}

#[test]
fn s07_silence_is_silence_even_with_dither_or_an_offset() {
    for seconds in [1, 4, 60] {
        let length = seconds * 16_000;
        assert_eq!(signal(&vec![0.0; length]), Verdict::Silence);
        assert_eq!(signal(&vec![0.2; length]), Verdict::Silence, "direct current");
        assert_eq!(signal(&gained(&noise(length, 0.0, 2), -80.0)), Verdict::Silence);
    }
    assert_eq!(signal(&samples("silence.wav")), Verdict::Silence);
}

#[test]
fn s07_noise_of_any_colour_is_steady() {
    assert_eq!(signal(&samples("noise.wav")), Verdict::Steady);
    for colour in [0.0, 0.5, 0.9, 0.97, 0.99] {
        for seed in 1..3 {
            for decibels in [-10.0, -50.0] {
                let sound = gained(&noise(60 * 16_000, colour, seed), decibels);
                assert_eq!(signal(&sound), Verdict::Steady, "colour {colour}, seed {seed}, {decibels} dB");
            }
        }
    }
}

#[test]
fn s07_tones_hums_and_beeps_are_steady() {
    for hertz in [100.0, 440.0, 1000.0, 3000.0, 7000.0] {
        assert_eq!(signal(&tone(hertz, 4.0)), Verdict::Steady, "{hertz} Hz");
    }
    let mut beeps = tone(425.0, 6.0);
    for (n, sample) in beeps.iter_mut().enumerate() {
        *sample *= if n / 8000 % 2 == 0 { 1.0 } else { 0.0 };
    }
    assert_eq!(signal(&beeps), Verdict::Steady, "a busy line");
    let hum: Vec<f32> =
        tone(50.0, 4.0).iter().zip(tone(150.0, 4.0)).zip(tone(250.0, 4.0)).map(|((a, b), c)| a + b + c).collect();
    assert_eq!(signal(&hum), Verdict::Steady, "mains");
}
