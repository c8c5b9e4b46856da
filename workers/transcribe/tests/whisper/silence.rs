//! Where nobody speaks, nothing was said.

use shanshui_transcribe::decoding::{Options, Verdict};

use super::{base, samples, transcribe};

fn assert_no_speech(name: &str, samples: &[f32]) {
    let transcript = transcribe(base(), samples, &Options::default());
    assert!(matches!(transcript.verdict(), Verdict::NoSpeech(_)), "{name}: {transcript:?}");
    assert!(transcript.segments.is_empty(), "{name}");
}

#[test]
fn s07_silence_and_noise_end_without_words() {
    for name in ["silence.wav", "noise.wav"] {
        assert_no_speech(name, &samples(name));
    }
}

#[test]
fn s05_an_empty_recording_and_one_of_a_single_frame_end_without_words() {
    assert_no_speech("nothing", &[]);
    assert_no_speech("a frame", &[0.1; 200]);
}
