//! Containers and codecs: heard, or refused by their names.

use crate::sentences::{BRIDGE, FOX, LIGHTHOUSE, OWL, assert_says};
use crate::{hear, text, try_to_hear};

#[test]
fn wav_with_sizes_that_were_never_filled_in_and_rf64_are_heard() {
    for name in ["zerolen.wav", "zerolen36.wav", "rf64.wav"] {
        assert_says(name, &text(name), &[OWL]);
        let source = hear(name).source;
        assert!(!source.truncated && !source.damaged, "{name}: {source:?}");
    }
}

#[test]
fn mp3_in_wav_is_heard() {
    assert_says("mp3-in.wav", &text("mp3-in.wav"), &[FOX]);
}

#[test]
fn the_core_of_he_aac_is_heard() {
    for (name, rate, channels) in [("heaac-phone.m4a", 24_000, 2), ("heaacv2-phone.m4a", 22_050, 1)] {
        assert_says(name, &text(name), &[LIGHTHOUSE]);
        let source = hear(name).source;
        assert_eq!((source.codec.as_str(), source.sample_rate, source.channels), ("aac", rate, channels), "{name}");
    }
}

#[test]
fn the_centre_of_a_film_is_heard() {
    assert_says("film51.m4a", &text("film51.m4a"), &[BRIDGE]);
    assert_eq!(hear("film51.m4a").source.channels, 6);
}

#[test]
fn what_is_not_read_is_named_once_and_never_called_corrupt() {
    for (name, codec) in [
        ("voicemail-gsm.wav", "GSM 6.10 in wave"),
        ("voice.3gp", "AMR narrow band in isomp4"),
        ("voice.amr", "AMR narrow band in amr"),
        ("speex.ogg", "Speex in ogg"),
    ] {
        let error = format!("{:#}", anyhow::Error::from(try_to_hear(name).unwrap_err()));
        assert!(error.starts_with(&format!("audio.codec {codec} is not read")), "{name}: {error}");
        assert_eq!(error.matches("is not read").count(), 1, "{name}: {error}");
        assert!(!error.contains("corrupt"), "{name}: {error}");
    }
}
