//! Sound that is there, under hum, in one channel of two, in another track, far too quiet.

use crate::hear;
use crate::sentences::{BRIDGE, FOX, TRAIN, assert_says};
use crate::text;

#[test]
fn a_voice_under_a_steady_tone_is_heard() {
    for name in ["hum120-15.flac", "whine-15.flac"] {
        assert_says(name, &text(name), &[FOX]);
    }
}

#[test]
fn channels_that_cancel_each_other_are_heard_one_by_one() {
    assert_says("antiphase.flac", &text("antiphase.flac"), &[FOX]);
    let source = hear("antiphase.flac").source;
    assert_eq!((source.channels, source.channel), (2, Some(1)));
}

#[test]
fn floats_far_below_and_beyond_full_scale_are_heard() {
    for name in ["float-quiet70.wav", "float-hot30.wav"] {
        let recording = hear(name);
        assert!(recording.samples.iter().all(|sample| sample.abs() <= 1.0));
        assert_says(name, &text(name), &[TRAIN]);
    }
}

#[test]
fn another_track_is_heard_where_the_first_is_silent() {
    for name in ["obs-two-tracks.mp4", "obs-two-tracks.mkv"] {
        assert_says(name, &text(name), &[BRIDGE]);
        let source = hear(name).source;
        assert_eq!((source.track, source.tracks), (2, 2), "{name}");
    }
}

#[test]
fn a_track_that_is_not_decoded_does_not_hide_one_that_is() {
    assert_says("ac3-and-aac.mkv", &text("ac3-and-aac.mkv"), &[BRIDGE]);
    let source = hear("ac3-and-aac.mkv").source;
    assert_eq!((source.codec.as_str(), source.tracks), ("aac", 2));
}
