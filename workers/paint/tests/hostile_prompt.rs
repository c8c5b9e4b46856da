//! Texts that are meant to do harm, through cleaning and the tokenizer of a real model.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::path::Path;

use shanshui_paint::diffusers::Configs;
use shanshui_paint::prompt::Prompt;
use shanshui_paint::tokenizer::{Chunks, MAX_CHUNKS, Tokenizer};

/// As many characters as a worker reads by default.
const CHARS: usize = 2000;
/// Positions of CLIP's text encoder.
const POSITIONS: usize = 77;

fn tokenizer() -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
    Tokenizer::read(&folder, &Configs::read(&folder).unwrap().text).unwrap()
}

#[test]
fn s09_no_text_breaks_a_line_the_limit_or_the_tokenizer() {
    let tokenizer = tokenizer();
    let controls: String = (0..=0x9f).filter_map(char::from_u32).collect();
    let table = [
        ("100,000 characters", "mountain ".repeat(11_112), true),
        ("100,000 letters in a row", "x".repeat(100_000), true),
        ("controls of C0 and C1", format!("a{controls}b"), false),
        ("NUL", "a\0b".into(), false),
        ("overrides of direction", "\u{202e}a\u{2066}b\u{2069}\u{202c}".into(), false),
        ("nothing to see", "a\u{200b}\u{200d}\u{feff}\u{2060}b".into(), false),
        ("10,000 marks", format!("e{}", "\u{301}".repeat(10_000)), false),
        ("letters to be composed", "e\u{301}".repeat(900), false),
        ("letters outside the plane", "\u{1f432}".repeat(3000), true),
        ("special tokens", "<|startoftext|> a <|endoftext|> b".into(), false),
        ("line separators", "a\u{2028}b\u{2029}c\u{85}d".into(), false),
    ];
    for (what, raw, cut) in table {
        let prompt = Prompt::clean(&raw, CHARS);
        assert_eq!(prompt.truncated, cut, "{what}");
        assert!(prompt.text.chars().count() <= CHARS, "{what}");
        let odd =
            |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}' | '\u{2066}' | '\u{200b}');
        assert!(!prompt.text.contains(odd), "{what}: {:?}", prompt.text);
        assert_eq!(Prompt::clean(&prompt.text, CHARS).text, prompt.text, "{what}: cleaned twice");
        let chunks = tokenizer.chunks(&[&prompt.text]).unwrap().ids;
        assert!(chunks[0].len() <= MAX_CHUNKS, "{what}");
        assert!(chunks[0].iter().all(|chunk| chunk.len() <= POSITIONS), "{what}");
    }
}

/// With this model a Chinese character is three tokens and a dragon four.
#[test]
fn a_text_of_more_tokens_than_the_encoder_reads_is_cut_between_characters_and_told() {
    let tokenizer = tokenizer();
    for (letter, tokens, fit) in [('\u{1f432}', 4, 304), ('\u{5c71}', 3, 405)] {
        let text = |count: usize| letter.to_string().repeat(count);
        let read = |count| tokenizer.chunks(&[&text(count)]).unwrap();
        assert!(!read(fit).truncated, "{fit} of {letter}");
        let longest = read(CHARS);
        for count in [fit + 1, 420] {
            assert_eq!(read(count), longest, "{count} of {letter}");
        }
        assert!(longest.truncated, "{letter}");
        // Start and end of each chunk, and what the chunks are filled up with, are no letters.
        let special = [0, 1].map(|place| tokenizer.chunks(&[""]).unwrap().ids[0][0][place]);
        let letters = longest.ids[0].iter().flatten().filter(|id| !special.contains(id)).count();
        assert_eq!(letters, fit * tokens, "{letter}: whole characters only");
    }
}

#[test]
fn only_the_prompt_that_is_too_long_is_cut() {
    let tokenizer = tokenizer();
    let long = "mountain ".repeat(4000);
    let Chunks { ids, truncated, .. } = tokenizer.chunks(&["a cat", &long]).unwrap();
    assert!(truncated);
    assert_eq!([ids[0].len(), ids[1].len()], [MAX_CHUNKS; 2]);
    assert_eq!(ids[0][0], tokenizer.chunks(&["a cat"]).unwrap().ids[0][0]);
}
