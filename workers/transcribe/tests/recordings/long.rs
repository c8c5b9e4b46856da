//! A talk of fourteen minutes.

use shanshui_transcribe::audio::{Budget, decode};
use shanshui_transcribe::decoding::Options;

use crate::sentences::{word_errors, words};
use crate::{read, root};

const SPOKEN: [(&str, &str); 4] = [
    ("apple.wav", "Draw me a red apple on a green field."),
    ("mountains.wav", "Paint high mountains and a river under a full moon."),
    ("cat.wav", "A cat sitting under a yellow star."),
    (
        "jfk.flac",
        "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
    ),
];

/// Sentences one behind the other as 16-bit WAV, with pauses of a breath, and every tenth time of
/// half a minute.
fn talk(seconds: usize) -> (Vec<u8>, Vec<String>) {
    let clip = |name: &str| {
        let bytes = std::fs::read(root().join("tests/data/speech").join(name)).unwrap();
        decode(&bytes, &Budget::default()).unwrap().samples
    };
    let clips = SPOKEN.map(|(name, said)| (clip(name), words(said)));
    let (mut sound, mut said): (Vec<f32>, Vec<String>) = (Vec::new(), Vec::new());
    for (round, (clip, text)) in clips.iter().cycle().enumerate() {
        if sound.len() >= seconds * 16_000 {
            break;
        }
        sound.extend(clip);
        said.extend_from_slice(text);
        let pause = if round % 10 == 9 { 30 * 16_000 } else { 6_000 + round % 4 * 4_000 };
        sound.resize(sound.len() + pause, 0.0);
    }
    let data: Vec<u8> = sound.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect();
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0".to_vec();
    wav.extend(data);
    (wav, said)
}

#[test]
fn a_talk_of_fourteen_minutes_keeps_every_sentence() {
    let (wav, said) = talk(14 * 60);
    let recording = decode(&wav, &Budget::default()).unwrap();
    assert!(recording.source.seconds >= 840.0 && !recording.source.truncated);
    let options = Options { language: Some("en".to_owned()), ..Options::default() };
    let (transcript, _) = read("a talk", &recording, &options);
    let heard = words(&transcript.text);
    // base hears "apple on a" as one word in every third sentence of its kind.
    let errors = word_errors(&heard, &said);
    assert!(errors * 100 < said.len() * 5, "{errors} word errors of {}", said.len());
    // One word of each sentence; as a part, because base writes "Greenfield", too.
    let often = |all: &[String], part: &str| all.iter().filter(|word| word.contains(part)).count();
    for part in ["field", "mountains", "star", "americans"] {
        assert_eq!(often(&heard, part), often(&said, part), "{part}");
    }
}
