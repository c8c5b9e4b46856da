//! Silence, noise and music around the speech: read where speech is, and nowhere else.

use shanshui_transcribe::decoding::Options;

use crate::sentences::{FOX, OWL, TRAIN, assert_says};
use crate::{hear, read, text};

#[test]
fn behind_35_seconds_of_silence_the_whole_sentence_is_read_and_nothing_before_it() {
    let (transcript, _) = read("late35.flac", &hear("late35.flac"), &Options::default());
    assert_says("late35.flac", &transcript.text, &[OWL]);
    assert!(transcript.invented.is_empty(), "{:?}", transcript.invented);
    let [first, ..] = &transcript.segments[..] else { panic!("no segment") };
    assert!((34.0..37.0).contains(&first.start), "{first:?}");
}

#[test]
fn silence_between_two_sentences_costs_neither_words_nor_time() {
    let recording = hear("dictaphone.flac");
    let (transcript, work) = read("dictaphone.flac", &recording, &Options::default());
    assert_says("dictaphone.flac", &transcript.text, &[OWL, TRAIN]);
    let last = transcript.segments.last().unwrap();
    assert!(last.start > 170.0 && last.end <= transcript.duration, "{last:?}");
    assert!(recording.source.seconds > 174.0);
    // One window, and the tokens of two sentences.
    assert!(work.steps < 60, "{work:?}");
}

#[test]
fn a_recorder_that_was_never_stopped_is_read_much_faster_than_it_plays() {
    let recording = hear("forgot-stop.flac");
    let (transcript, work) = read("forgot-stop.flac", &recording, &Options::default());
    assert_says("forgot-stop.flac", &transcript.text, &[OWL]);
    assert!(recording.source.seconds > 360.0);
    assert!(work.steps < 40, "{work:?}");
}

#[test]
fn the_language_is_that_of_the_speech_and_not_of_the_noise_before_it() {
    let (transcript, _) = read("late-room.ogg", &hear("late-room.ogg"), &Options::default());
    assert_says("late-room.ogg", &transcript.text, &[FOX]);
    assert_eq!(transcript.language, "en");

    let (transcript, _) = read("late-mandarin.flac", &hear("late-mandarin.flac"), &Options::default());
    assert_eq!(transcript.language, "zh");
    assert!(transcript.text.contains("广州市") || transcript.text.contains("廣州市"), "{}", transcript.text);
}

#[test]
fn music_before_a_speaker_is_not_written_down_in_another_language() {
    let name = "music-before.ogg";
    let recording = hear(name);
    let (transcript, work) = read(name, &recording, &Options::default());
    assert_says(name, &transcript.text, &[OWL]);
    assert_eq!(transcript.language, "en");
    // Two windows and the text of two more, where nothing in 38 s is good enough.
    assert!(work.steps < 1000, "{work:?}");
}

#[test]
fn a_silent_tail_adds_nothing() {
    assert_says("room-after.ogg", &text("room-after.ogg"), &[OWL]);
}
