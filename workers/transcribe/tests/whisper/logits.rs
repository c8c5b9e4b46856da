//! Our scores beside those of Hugging Face's Whisper; tests/data/whisper/make.py recorded theirs.

use std::fs;

use serde::Deserialize;
use shanshui_transcribe::{mel::Mel, options::Precision, whisper::Whisper};

use super::{base, load, root, samples, tiny_en};

#[derive(Deserialize)]
struct Case {
    window: String,
    tokens: Vec<u32>,
    top: Vec<(usize, f32)>,
    sampled: Vec<(usize, f32)>,
}

/// Log-mel values, bins × frames: of a recording, or of integers that need no sound.
fn window(name: &str) -> Vec<f32> {
    const BANDS: usize = 80;
    const FRAMES: usize = 3000;
    if name != "pattern" {
        return Mel::new(BANDS).spectrogram(&samples(name)).window(0, FRAMES);
    }
    let value = |band: usize, frame: usize| {
        ((band * 7919 + frame * 104_729 + band * frame * 31) % 2003) as f32 / 2003.0 * 2.0 - 1.0
    };
    (0..BANDS).flat_map(|band| (0..FRAMES).map(move |frame| value(band, frame))).collect()
}

/// The same arithmetic in another order differs by 3e-5 here; scores lie between -15 and 30.
const TOLERANCE: f32 = 1e-3;

/// Bytes for weights and activations change them by tenths.
const ROUNDED: f32 = 1.0;

fn assert_reference(whisper: &Whisper, file: &str, tolerance: f32) {
    let text = fs::read_to_string(root().join("tests/data/whisper").join(file)).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let logits = whisper.logits(window(&case.window), &case.tokens).unwrap();
        let mut largest = 0f32;
        for (token, expected) in case.top.iter().chain(&case.sampled) {
            largest = largest.max((logits[*token] - expected).abs());
        }
        eprintln!("{file} {}: largest difference {largest:.5}", case.window);
        assert!(largest < tolerance, "{file} {}: a score is off by {largest}", case.window);
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        // Two that are nearly equal may change places.
        let below = case.top[0].1 - case.top.iter().find(|(token, _)| *token == best).map_or(f32::MIN, |top| top.1);
        assert!(below <= tolerance, "{file} {}: token {best} is {below} below the best", case.window);
    }
}

#[test]
fn first_token_scores_of_base_are_those_of_the_reference() {
    assert_reference(&load("whisper-base", Precision::F32), "base.json", TOLERANCE);
}

#[test]
fn first_token_scores_of_tiny_en_are_those_of_the_reference() {
    assert_reference(&load("whisper-tiny.en", Precision::F32), "tiny.en.json", TOLERANCE);
}

#[test]
fn first_token_scores_in_int8_are_nearly_those_of_the_reference() {
    assert_reference(base(), "base.json", ROUNDED);
    assert_reference(tiny_en(), "tiny.en.json", ROUNDED);
}
