//! Every container and codec says the same sentence.

use crate::{bytes, heard};

/// What all recordings of tests/data/audio say: 0.3 s to 1.6 s of apple.wav.
fn sentence() -> Vec<f32> {
    heard(&bytes("speech/apple.wav")).unwrap().samples[4800..25_600].to_vec()
}

/// Correlation of `sound` with `truth` when it comes `lag` samples late.
fn correlation(sound: &[f32], truth: &[f32], lag: isize) -> f64 {
    let (mut both, mut own, mut other) = (0.0, 0.0, 0.0);
    for (i, &t) in truth.iter().enumerate() {
        let s = usize::try_from(i as isize + lag).ok().and_then(|at| sound.get(at)).copied().unwrap_or(0.0);
        both += f64::from(s * t);
        own += f64::from(s * s);
        other += f64::from(t * t);
    }
    both / (own * other).sqrt().max(1e-12)
}

/// Asserts that a file holds the first `seconds` of the sentence, and starts within `max_lag`
/// samples of where it should.
fn assert_says_the_sentence(name: &str, seconds: f64, likeness: f64, max_lag: isize) {
    let recording = heard(&bytes(&format!("audio/{name}"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    let truth = &sentence()[..(seconds * 16_000.0) as usize];
    // What comes late may be followed by as much padding.
    let late = 2.0 * max_lag as f64 / 16_000.0;
    let source = &recording.source;
    assert!((source.seconds - seconds).abs() < 0.025 + late, "{name}: {} s", source.seconds);
    let best = (-max_lag - 40..=max_lag + 40)
        .map(|lag| (correlation(&recording.samples, truth, lag), lag))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap();
    assert!(best.0 > likeness, "{name}: correlation and lag {best:?}");
    assert!(best.1.abs() <= max_lag, "{name}: correlation and lag {best:?}");
    assert!(recording.samples.iter().all(|s| s.is_finite()), "{name}");
    assert!(!source.truncated && !source.damaged, "{name}: {source:?}");
}

#[test]
fn lossless_files_of_every_width_and_byte_order_are_decoded_to_the_sample() {
    for (name, seconds) in [
        ("pcm16.wav", 0.4),
        ("pcm24.wav", 0.2),
        ("pcm32.wav", 0.2),
        ("float32.wav", 0.2),
        ("float64.wav", 0.1),
        ("pipe.wav", 0.4),
        ("pcm16.aiff", 0.4),
        ("pcm16.caf", 0.4),
        ("mono.flac", 0.4),
        ("flac.ogg", 0.4),
        ("alac.m4a", 0.4),
    ] {
        assert_says_the_sentence(name, seconds, 0.999_99, 0);
        let recording = heard(&bytes(&format!("audio/{name}"))).unwrap();
        let truth = sentence();
        let worst = recording.samples.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{name}: off by {worst}");
    }
}

#[test]
fn coarse_sample_formats_are_nearly_the_same() {
    for name in ["pcm8.wav", "alaw.wav", "mulaw.wav"] {
        assert_says_the_sentence(name, 0.4, 0.99, 0);
    }
    // ADPCM comes in blocks of 1017 samples and fills up the last one.
    let adpcm = heard(&bytes("audio/adpcm.wav")).unwrap();
    assert!(correlation(&adpcm.samples, &sentence()[..6400], 0) > 0.99);
}

#[test]
fn other_rates_and_channels_become_16_khz_mono_in_time() {
    for (name, seconds, rate, channels) in [
        ("rate22k.flac", 0.2, 22_050, 1),
        ("stereo44k.flac", 0.2, 44_100, 2),
        ("rate96k.flac", 0.2, 96_000, 1),
        ("surround.flac", 0.1, 16_000, 6),
    ] {
        assert_says_the_sentence(name, seconds, 0.999, 0);
        let source = heard(&bytes(&format!("audio/{name}"))).unwrap().source;
        assert_eq!((source.sample_rate, source.channels), (rate, channels), "{name}");
    }
    // Half of the band is gone, so only alike.
    assert_says_the_sentence("rate8k.wav", 0.4, 0.95, 1);
}

#[test]
fn lossy_files_say_the_same_without_the_encoders_delay() {
    for name in ["mono.mp3", "stereo44k.mp3", "mono.ogg", "stereo44k.ogg", "mono.m4a", "stereo44k.m4a"] {
        assert_says_the_sentence(name, 1.3, 0.95, 4);
    }
}

#[test]
fn aac_that_does_not_tell_its_delay_is_one_frame_late() {
    for name in ["fragmented.m4a", "mono.aac", "aac.mkv"] {
        assert_says_the_sentence(name, 1.3, 0.95, 1100);
    }
}

#[test]
fn opus_of_all_modes_and_containers_is_decoded_and_trimmed() {
    for name in ["opus-hybrid.ogg", "opus-celt.ogg", "opus-60ms.ogg", "opus-stereo.ogg", "opus-dtx.ogg"] {
        assert_says_the_sentence(name, 1.3, 0.95, 4);
    }
    // 10 kbit/s leaves less of it.
    assert_says_the_sentence("opus-silk.ogg", 1.3, 0.85, 8);
    for name in ["opus.webm", "opus.mkv", "opus.mp4"] {
        assert_says_the_sentence(name, 1.3, 0.95, 4);
    }
    assert_says_the_sentence("opus-surround.ogg", 0.4, 0.95, 4);
}

#[test]
fn a_recording_names_container_codec_rate_and_channels() {
    for (name, container, codec, rate, channels) in
        [("opus-stereo.ogg", "ogg", "opus", 48_000, 2), ("pcm16.wav", "wave", "pcm_s16le", 16_000, 1)]
    {
        let source = heard(&bytes(&format!("audio/{name}"))).unwrap().source;
        assert_eq!((source.container.as_str(), source.codec.as_str()), (container, codec));
        assert_eq!((source.sample_rate, source.channels, source.parts), (rate, channels, 1));
        assert_eq!((source.track, source.tracks, source.channel, source.decoder), (1, 1, None, None));
    }
}
