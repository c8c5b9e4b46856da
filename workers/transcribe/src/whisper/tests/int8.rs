//! The tiny model in int8, beside itself in f32.

use std::ops::Range;

use candle_core::Device;

use super::{
    formats::window,
    load_in,
    tiny::{MELS, Tiny},
};
use crate::options::Precision;
use crate::whisper::Whisper;

const TOKENS: [u32; 7] = [11, 13, 14, 2, 7, 7, 25];

/// The vocabulary.
const ALL: Range<usize> = 0..64;

#[test]
fn int8_gives_nearly_the_scores_of_f32() {
    let [exact, rounded] =
        [Precision::F32, Precision::Int8].map(|precision| load_in(precision).logits(window(), &TOKENS).unwrap());
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let difference: Vec<f32> = std::iter::zip(&exact, &rounded).map(|(a, b)| a - b).collect();
    let error = norm(&difference) / norm(&exact);
    eprintln!("relative error {error}");
    assert!(error > 0.0 && error < 0.1, "{error}");
}

#[test]
fn token_by_token_gives_the_scores_of_all_tokens_at_once() {
    let whisper = load_in(Precision::Int8);
    let heard = whisper.hear(&window()).unwrap();
    let mut all = heard.start().unwrap();
    all.feed(&TOKENS, ALL).unwrap();
    let mut single = heard.start().unwrap();
    for (at, token) in TOKENS.iter().enumerate() {
        single.feed(&[*token], ALL).unwrap();
        assert_eq!(single.logits(0).unwrap(), all.logits(at).unwrap(), "after token {at}");
    }
    assert_eq!(single.length(), TOKENS.len());
}

#[test]
fn what_may_follow_has_the_score_that_it_has_among_all() {
    let whisper = load_in(Precision::Int8);
    let heard = whisper.hear(&window()).unwrap();
    let scores = |next: Range<usize>| {
        let mut text = heard.start().unwrap();
        text.feed(&TOKENS, next).unwrap();
        text.logits(TOKENS.len() - 1).unwrap()
    };
    let all = scores(ALL);
    for next in [0..20, 20..26, 10..64, 63..900, 5..5] {
        for (token, score) in scores(next.clone()).into_iter().enumerate() {
            let expected = if next.contains(&token) { all[token] } else { f32::NEG_INFINITY };
            assert_eq!(score, expected, "token {token} of {next:?}");
        }
    }
}

#[test]
fn silence_behind_the_sound_is_heard_as_if_it_were_computed_at_every_place() {
    let whisper = load_in(Precision::Int8);
    let mut frames = window();
    let count = frames.len() / MELS;
    for sound in (0..count).rev().filter(|sound| sound % 7 < 2 || *sound > count - 5) {
        frames[sound * MELS..].fill(0.0);
        let scores = |frames: &[f32]| {
            let heard = whisper.hear(frames).unwrap();
            let mut text = heard.start().unwrap();
            text.feed(&TOKENS, ALL).unwrap();
            text.logits(3).unwrap()
        };
        let once = scores(&frames);
        // So little changes no sum, and is no silence.
        let last = frames.len() - 1;
        frames[last] = f32::MIN_POSITIVE;
        assert_eq!(once, scores(&frames), "{sound} frames");
    }
}

#[test]
fn a_part_of_a_window_and_tokens_beyond_the_vocabulary_are_no_reason_to_panic() {
    let whisper = load_in(Precision::Int8);
    let frames = window();
    for count in [2, 6, 38] {
        let heard = whisper.hear(&frames[..count * MELS]).unwrap();
        let mut text = heard.start().unwrap();
        text.feed(&[11], ALL).unwrap();
        assert!(text.logits(0).unwrap().iter().all(|score| score.is_finite()), "{count} frames");
        assert!(text.feed(&[64], ALL).is_err() && text.feed(&[1; 32], ALL).is_err());
    }
}

#[test]
fn both_precisions_tell_to_what_the_listed_heads_have_listened() {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new().write_hugging_face(folder.path(), ::safetensors::Dtype::F32, 1);
    let listed = r#"{ "alignment_heads": [[1, 0], [0, 1], [2, 0], [0, 2]] }"#;
    std::fs::write(folder.path().join("generation_config.json"), listed).unwrap();
    let listened = [Precision::F32, Precision::Int8].map(|precision| {
        let whisper = Whisper::load_in(folder.path(), &Device::Cpu, precision).unwrap();
        let heard = whisper.hear(&window()).unwrap();
        let mut text = heard.start().unwrap();
        text.feed(&TOKENS, ALL).unwrap();
        text.feed(&[3], ALL).unwrap();
        text.listened().unwrap()
    });
    assert_eq!(listened[0].len(), 2, "heads that are not there do not listen");
    for (exact, rounded) in std::iter::zip(&listened[0], &listened[1]) {
        assert_eq!((exact.len(), rounded.len()), (20, 20));
        for weights in [exact, rounded] {
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{weights:?}");
        }
        let most = std::iter::zip(exact, rounded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most < 0.05, "{exact:?} {rounded:?}");
    }
}

#[test]
fn a_model_whose_heads_are_too_wide_is_computed_in_f32_unless_int8_is_wished_for() {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new().write_hugging_face(folder.path(), ::safetensors::Dtype::F32, 1);
    let config = r#"{ "encoder_attention_heads": 1, "decoder_attention_heads": 1 }"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    Whisper::load(folder.path(), &Device::Cpu).unwrap().logits(window(), &TOKENS).unwrap();
    let error = Whisper::load_in(folder.path(), &Device::Cpu, Precision::Int8).unwrap_err().to_string();
    assert!(error.contains("int8 is not allowed; allowed: f32, because the model has heads of 128"), "{error}");
}
