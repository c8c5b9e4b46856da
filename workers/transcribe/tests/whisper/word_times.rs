//! When each word was said, against another program's times for the same weights.

use shanshui_transcribe::decoding::{Options, Transcript, Word};
use shanshui_transcribe::options::Precision;

use super::{base, load, samples, tiny_en, transcribe};

/// Words as faster-whisper 1.2.1 times them (base, f32), and where they begin in seconds. The first of
/// a recording is left out: there it has no place for the silence before.
const JFK: [(&str, f64); 12] = [
    ("so", 0.52),
    ("my", 0.84),
    ("fellow", 1.18),
    ("Americans", 1.56),
    ("what", 4.24),
    ("your", 5.52),
    ("country", 5.76),
    ("can", 6.24),
    ("you,", 7.08),
    ("what", 8.46),
    ("your", 9.78),
    ("country.", 9.94),
];
const READ: [(&str, f64); 12] = [
    ("was", 0.24),
    ("first", 0.50),
    ("sorrow", 1.06),
    ("life.", 1.88),
    ("was", 2.82),
    ("much", 3.36),
    ("loss", 3.80),
    ("cotton", 4.36),
    ("fantasy,", 5.64),
    ("hopes,", 6.64),
    ("dreams", 7.28),
    ("around", 7.92),
];

fn words(transcript: &Transcript) -> Vec<Word> {
    transcript.segments.iter().flat_map(|segment| segment.words.clone()).collect()
}

/// Each expected word in its order, at most so many seconds away.
fn assert_times(found: &[Word], expected: &[(&str, f64)], tolerance: f64) {
    let mut rest = found.iter();
    for (text, begin) in expected {
        let bare = |text: &str| text.trim_end_matches([',', '.']).to_owned();
        let near = rest.find(|word| bare(&word.text) == bare(text) && (word.start - begin).abs() <= tolerance);
        assert!(near.is_some(), "{text} at {begin}: {found:?}");
    }
}

#[test]
fn words_begin_where_another_program_hears_them() {
    for (name, expected) in [("jfk.flac", &JFK), ("librispeech-1995-1837-0001.wav", &READ)] {
        let samples = samples(name);
        for whisper in [base(), &load("whisper-base", Precision::F32)] {
            let transcript = transcribe(whisper, &samples, &Options::default());
            let words = words(&transcript);
            assert_times(&words, expected, 0.3);
            let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            assert_eq!(text.join(" "), transcript.text);
            for pair in words.windows(2) {
                assert!(pair[0].start <= pair[0].end && pair[0].end <= pair[1].start, "{pair:?}");
            }
            assert!(words.iter().all(|word| word.probability > 0.0 && word.probability <= 1.0));
            assert!(words.last().unwrap().end <= transcript.duration);
        }
    }
}

#[test]
fn words_keep_the_time_of_the_recording_when_silence_is_left_out() {
    let speech = samples("mountains.wav");
    let plain = words(&transcribe(base(), &speech, &Options::default()));
    let late: Vec<f32> = vec![0.0; 20 * 16_000].into_iter().chain(speech).collect();
    let late = words(&transcribe(base(), &late, &Options::default()));
    assert_eq!(plain.len(), late.len());
    for (plain, late) in plain.iter().zip(&late) {
        assert!((late.start - plain.start - 20.0).abs() < 0.3, "{plain:?} {late:?}");
    }
}

#[test]
fn a_character_is_a_word_where_there_are_no_spaces() {
    let transcript = transcribe(base(), &samples("aishell-BAC009S0724W0121.wav"), &Options::default());
    let words = words(&transcript);
    assert!(words.len() >= 10, "{words:?}");
    assert!(words.iter().all(|word| word.text.chars().filter(|c| c.is_alphanumeric()).count() == 1), "{words:?}");
    assert!(words.is_sorted_by(|a, b| a.start <= b.start), "{words:?}");
}

#[test]
fn a_window_without_times_of_segments_has_times_of_words() {
    let options = Options { timestamps: false, ..Options::default() };
    let transcript = transcribe(tiny_en(), &samples("jfk.flac"), &options);
    assert_times(&words(&transcript), &JFK[1..], 0.4);
}
