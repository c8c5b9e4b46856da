//! Recordings longer than a window, joined from the clips with pauses between them.

use shanshui_transcribe::{
    decoding::{Options, Transcript},
    whisper::Whisper,
};

use super::{SPOKEN, base, samples, transcribe, words};

/// The clips one after the other until the sound is long enough, and what is said in it. The
/// pauses differ, so that the ends of the windows fall into words as well as between them.
fn joined(seconds: usize) -> (Vec<f32>, Vec<String>) {
    let clips = SPOKEN.map(|(name, said)| (samples(name), words(said)));
    let (mut sound, mut said) = (Vec::new(), Vec::new());
    for (round, (clip, text)) in clips.iter().cycle().enumerate() {
        sound.extend_from_slice(clip);
        said.extend_from_slice(text);
        if sound.len() >= seconds * 16_000 {
            return (sound, said);
        }
        sound.resize(sound.len() + 6_000 + round % 4 * 4_000, 0.0);
    }
    unreachable!("the clips are repeated without end")
}

fn read(whisper: &Whisper, seconds: usize) -> (Transcript, Vec<String>) {
    let (sound, said) = joined(seconds);
    let options = Options { language: Some("en".to_owned()), ..Options::default() };
    let transcript = transcribe(whisper, &sound, &options);
    for segment in &transcript.segments {
        eprintln!("{:6.2} {:6.2} {}", segment.start, segment.end, segment.text);
    }
    (transcript, said)
}

fn assert_times_advance(transcript: &Transcript) {
    let mut last = 0.0;
    for segment in &transcript.segments {
        assert!(segment.start >= last - 0.01 && segment.end > segment.start, "{segment:?}");
        last = segment.end;
    }
    assert!(transcript.duration - last < 2.0, "nothing after {last} of {}", transcript.duration);
}

#[test]
fn a_minute_is_read_word_for_word_across_the_seams() {
    let (transcript, said) = read(base(), 60);
    assert_eq!(words(&transcript.text).join(" "), said.join(" "));
    assert_times_advance(&transcript);
}

/// No sentence is lost, said twice or invented. `recordings` reads a talk of fourteen minutes.
#[test]
fn three_minutes_keep_every_sentence_once() {
    let (transcript, said) = read(base(), 180);
    let errors = word_errors(&words(&transcript.text), &said);
    assert!(errors * 100 < said.len(), "{errors} word errors of {}", said.len());
    assert_times_advance(&transcript);
}

/// Words to insert, delete or replace (Levenshtein).
fn word_errors(found: &[String], said: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (above, word) in found.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, expected) in said.iter().enumerate() {
            let replaced = diagonal + usize::from(word != expected);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[said.len()]
}
