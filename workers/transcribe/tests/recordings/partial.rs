//! Words while the rest is decoded, with the real model.

use std::ops::ControlFlow;
use std::time::Instant;

use shanshui_pipeline::event::Event;
use shanshui_transcribe::audio::{Budget, Recording, decode};
use shanshui_transcribe::decoding::{Hearing, Options, Told, Transcript};
use shanshui_transcribe::partial::Partials;

use crate::{base, hear, root};

/// Different sentences, of about a minute: one that is said over and over counts as a loop.
const LONG: [&str; 10] = [
    "mountains.wav",
    "librispeech-1995-1837-0001.wav",
    "jfk.flac",
    "cat.wav",
    "apple.wav",
    "librispeech-1995-1837-0001.wav",
    "mountains.wav",
    "jfk.flac",
    "apple.wav",
    "cat.wav",
];

struct Read {
    transcript: Transcript,
    events: Vec<(u32, String, bool)>,
    drafts: Vec<String>,
    seconds: f64,
}

fn speech(names: &[&str]) -> Vec<f32> {
    let clip = |name: &&str| {
        let bytes = std::fs::read(root().join("tests/data/speech").join(name)).unwrap();
        [decode(&bytes, &Budget::default()).unwrap().samples, vec![0.0; 8000]].concat()
    };
    names.iter().flat_map(clip).collect()
}

/// As a worker reads it; nobody takes the events away before the end.
fn read(samples: &[f32], language: &str) -> Read {
    let (mut partials, mut came) = Partials::channel();
    let (mut events, mut drafts) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let mut hear = |hearing: &Hearing<'_>| {
        if let Hearing::Draft(draft) = hearing {
            drafts.extend(draft.text());
        }
        partials.hear(hearing);
        while let Ok(event) = came.try_recv() {
            let Event::Partial { part, text, settled, language: told } = event else { panic!("{event:?}") };
            assert_eq!(told, language);
            events.push((part, text, settled));
        }
    };
    let told = Told { progress: &mut |_| ControlFlow::Continue(()), hearing: &mut hear };
    let all = 0..samples.len();
    let transcript = base().transcribe_told(samples, &[all], &Options::default(), told).unwrap();
    Read { transcript, events, drafts, seconds: began.elapsed().as_secs_f64() }
}

#[test]
fn words_of_a_long_recording_come_window_by_window_and_become_the_text() {
    let Read { transcript, events, seconds, .. } = read(&speech(&LONG), "en");
    assert!(events.len() >= 3, "{events:?}");
    assert!(events.is_sorted_by_key(|(part, ..)| *part), "{events:?}");
    assert!(events[0].1.to_lowercase().starts_with("paint") && !events[0].2, "{events:?}");
    let settled: Vec<&(u32, String, bool)> = events.iter().filter(|(.., settled)| *settled).collect();
    assert!(!settled.is_empty() && settled.iter().zip(0..).all(|((part, ..), at)| *part == at), "{events:?}");
    let text: String = settled.iter().map(|(_, text, _)| text.as_str()).collect();
    assert!(transcript.text.starts_with(&text) && text.len() > 100, "{text:?} of {:?}", transcript.text);
    let most = 1.0 + 4.0 * seconds + settled.len() as f64;
    assert!((events.len() as f64) < most, "{} events in {seconds:.1} s", events.len());
}

#[test]
fn chinese_words_are_cut_between_characters() {
    let Read { transcript, drafts, .. } = read(&speech(&["aishell-BAC009S0724W0121.wav"]), "zh");
    assert!(drafts.len() > 8, "{drafts:?}");
    assert!(drafts.iter().all(|draft| !draft.contains('\u{fffd}')), "{drafts:?}");
    // A token of this sentence ends within a character, so a draft stays as it was.
    assert!(drafts.windows(2).any(|pair| pair[0] == pair[1]), "{drafts:?}");
    let last = drafts.last().unwrap().trim();
    assert!(transcript.text.starts_with(last), "{last:?} of {:?}", transcript.text);
}

#[test]
fn what_is_invented_is_not_told() {
    for name in ["room-after.ogg", "keyboard.ogg", "hum120-15.flac"] {
        let Recording { samples, .. } = hear(name);
        let Read { transcript, events, .. } = read(&samples, "en");
        for (_, text, _) in &events {
            let invented = transcript.invented.iter().any(|segment| segment.text == text.trim());
            assert!(!invented, "{name}: {text:?} among {events:?}");
        }
    }
}
