//! A person in noise: the model doubts, and what was said is kept all the same.

use shanshui_transcribe::audio::{Budget, decode};
use shanshui_transcribe::decoding::Options;

use crate::sentences::{OWL, word_errors, words};
use crate::{bytes, read};

/// The sentence in white noise, so many decibels above it, as 16-bit WAV of unknown length.
fn in_noise(name: &str, decibels: f32) -> Vec<u8> {
    let clean = decode(&bytes(name), &Budget::default()).unwrap().samples;
    let power = clean.iter().map(|sample| sample * sample).sum::<f32>() / clean.len() as f32;
    // Twelve uniform numbers have a variance of one.
    let level = power.sqrt() * 10f32.powf(-decibels / 20.0);
    let mut state = 7_u32;
    let mut uniform = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let noisy = clean.iter().map(|sample| 0.25 * (sample + level * (0..12).map(|_| uniform()).sum::<f32>()));
    let data: Vec<u8> = noisy.flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect();
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0".to_vec();
    wav.extend(data);
    wav
}

#[test]
fn a_voice_in_loud_noise_is_not_taken_for_an_invention() {
    for (decibels, most) in [(10.0, 1), (5.0, 3), (0.0, 6)] {
        let recording = decode(&in_noise("zerolen.wav", decibels), &Budget::default()).unwrap();
        let name = format!("owl at {decibels} dB");
        let (transcript, _) = read(&name, &recording, &Options::default());
        let errors = word_errors(&words(&transcript.text), &words(OWL));
        assert!(errors <= most, "{name}: {errors} word errors in {transcript:?}");
    }
}
