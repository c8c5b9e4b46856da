//! Sound behind the end that a header names, and ends that are missing.

use crate::sentences::{BRIDGE, FOX, LIGHTHOUSE, OWL, TRAIN, assert_says, words};
use crate::{hear, text};

fn assert_whole(name: &str, parts: usize, sentences: &[&str]) {
    let source = hear(name).source;
    assert!(!source.truncated && !source.damaged, "{name}: {source:?}");
    assert_eq!(source.parts, parts, "{name}");
    assert_says(name, &text(name), sentences);
}

#[test]
fn an_mp3_of_variable_rate_without_a_xing_header_is_heard_to_its_last_word() {
    assert_whole("noxing-vbr.mp3", 1, &[FOX]);
    assert!((3.3..3.8).contains(&hear("noxing-vbr.mp3").source.seconds));
    let source = hear("vbr-loudstart.mp3").source;
    assert!(!source.truncated && !source.damaged && source.seconds > 11.0, "{source:?}");
    assert_says("vbr-loudstart.mp3", &text("vbr-loudstart.mp3"), &[LIGHTHOUSE, OWL]);
}

#[test]
fn recordings_one_behind_the_other_are_all_heard() {
    assert_whole("joined.mp3", 2, &[OWL, TRAIN]);
    assert_whole("chained.opus", 2, &[OWL, TRAIN]);
    assert_whole("chained-vorbis.ogg", 2, &[OWL, TRAIN]);
    assert_whole("joined.webm", 2, &[BRIDGE, OWL]);
}

#[test]
fn a_cut_recording_is_heard_up_to_the_cut_and_says_so() {
    for (name, said) in [("cut.m4a", "lighthouse on a rocky island"), ("cut.opus", "house on")] {
        let source = hear(name).source;
        assert!(source.truncated && source.seconds > 0.9, "{name}: {source:?}");
        let text = words(&text(name)).join(" ");
        assert!(text.contains(said), "{name}: {text}");
    }
}

#[test]
fn a_damaged_recording_is_heard_behind_the_damage_and_says_so() {
    let source = hear("damaged.opus").source;
    assert!(source.damaged && !source.truncated, "{source:?}");
    let text = words(&text("damaged.opus")).join(" ");
    assert!(text.contains("lighthouse"), "{text}");
}
