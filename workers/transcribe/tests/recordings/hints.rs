//! A hint helps with names, and says nothing by itself.

use shanshui_transcribe::decoding::{Options, Verdict};

use crate::sentences::{OWL, assert_says};
use crate::{hear, read};

fn with_hint() -> Options {
    Options { hint: Some("Shanshui, Guo Xi, Ma Yuan, pavilion".to_owned()), ..Options::default() }
}

#[test]
fn keys_and_clicks_do_not_become_words_of_the_hint() {
    for name in ["dtmf.flac", "keyboard.ogg"] {
        for options in [with_hint(), Options::default()] {
            let (transcript, _) = read(name, &hear(name), &options);
            assert!(matches!(transcript.verdict(), Verdict::NoSpeech(_)), "{name}: {transcript:?}");
        }
    }
}

#[test]
fn noise_behind_a_sentence_does_not_add_the_hint_to_it() {
    let (transcript, _) = read("room-after.ogg", &hear("room-after.ogg"), &with_hint());
    assert_says("room-after.ogg", &transcript.text, &[OWL]);
}
