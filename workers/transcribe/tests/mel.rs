//! Our log-mel spectrogram beside OpenAI's; tests/data/mel/make.py recorded theirs.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};

use shanshui_transcribe::audio::{Budget, decode};
use shanshui_transcribe::mel::{Mel, WINDOW_FRAMES};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

fn samples(name: &str) -> Vec<f32> {
    decode(&fs::read(data(name)).unwrap(), &Budget::default()).unwrap().samples
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = fs::read(data(&format!("mel/{name}"))).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Differences to the recorded frames, every tenth, smallest first.
fn differences(recording: &str, reference: &str, bins: usize) -> Vec<f32> {
    let mel = Mel::new(bins).spectrogram(&samples(recording));
    let truth = floats(&format!("{reference}-{bins}.bin"));
    let frames = mel.frames();
    assert_eq!(truth.len(), bins * frames.div_ceil(10));
    let ours = mel.window(0, frames);
    let tenth = (0..bins * frames).filter(|i| (i % frames).is_multiple_of(10)).map(|i| ours[i]);
    let mut differences: Vec<f32> = tenth.zip(truth).map(|(a, b)| (a - b).abs()).collect();
    differences.sort_unstable_by(f32::total_cmp);
    differences
}

#[test]
fn at_16_khz_every_value_is_openais() {
    // jfk.flac as OpenAI hears it, resampled by ffmpeg.
    let recordings =
        [("speech/librispeech-1995-1837-0001.wav", "librispeech-1995-1837-0001"), ("mel/jfk-16khz.flac", "jfk")];
    for (recording, reference) in recordings {
        for bins in [80, 128] {
            let all = differences(recording, reference, bins);
            let worst = all[all.len() - 1];
            assert!(worst < 1e-4, "{recording}, {bins} bands: off by {worst}");
        }
    }
}

#[test]
fn through_our_own_resampler_the_values_are_openais_too() {
    for bins in [80, 128] {
        let all = differences("speech/jfk.flac", "jfk", bins);
        // OpenAI resamples with ffmpeg, whose filter ends a little elsewhere below 8 kHz: that is
        // the last hundredth.
        let share = |percent: usize| all[all.len() * percent / 100];
        assert!(share(90) < 1e-3, "{bins} bands: nine in ten are off by up to {}", share(90));
        assert!(share(99) < 3e-3, "{bins} bands: 99 in 100 are off by up to {}", share(99));
    }
}

#[test]
fn windows_are_laid_out_band_after_band_and_filled_up_with_zeros() {
    let mel = Mel::new(80).spectrogram(&samples("speech/apple.wav"));
    assert_eq!((mel.bins(), mel.frames()), (80, 238));
    let window = mel.window(200, WINDOW_FRAMES);
    assert_eq!(window.len(), 80 * WINDOW_FRAMES);
    let whole = mel.window(0, mel.frames());
    for band in [0, 40, 79] {
        assert_eq!(window[band * WINDOW_FRAMES..][..38], whole[band * 238 + 200..][..38]);
        assert!(window[band * WINDOW_FRAMES + 38..(band + 1) * WINDOW_FRAMES].iter().all(|&v| v == 0.0));
    }
    assert!(mel.window(9999, 3).iter().all(|&v| v == 0.0));
}

#[test]
fn s08_no_sound_and_odd_sounds_give_finite_values() {
    let mel = Mel::new(80);
    for sound in [vec![], vec![0.5], vec![0.1; 159], vec![0.1; 160], vec![0.0; 16_000], vec![1.0; 16_000]] {
        let spectrogram = mel.spectrogram(&sound);
        assert_eq!(spectrogram.frames(), sound.len() / 160);
        assert!(spectrogram.window(0, 100).iter().all(|v| v.is_finite()));
    }
    // Silence lies at the floor: log10(1e-10), and (-10 + 4) / 4.
    assert!(mel.spectrogram(&[0.0; 1600]).window(0, 10).iter().all(|&v| v == -1.5));
}
