//! Texts that are meant to do harm, through cleaning and the tokenizer of a real model.

use std::path::Path;

use shanshui_paint::diffusers::Configs;
use shanshui_paint::prompt::Prompt;
use shanshui_paint::tokenizer::Tokenizer;

/// As many characters as a worker reads by default.
const CHARS: usize = 2000;
/// Positions of CLIP's text encoder.
const POSITIONS: usize = 77;

#[test]
fn s09_no_text_breaks_a_line_the_limit_or_the_tokenizer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
    let tokenizer = Tokenizer::read(&folder, &Configs::read(&folder).unwrap().text).unwrap();
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
        match tokenizer.chunks(&[&prompt.text]) {
            Ok(chunks) => assert!(chunks[0].iter().all(|chunk| chunk.len() <= POSITIONS), "{what}"),
            Err(error) => assert!(error.to_string().contains("tokens, allowed are"), "{what}: {error}"),
        }
    }
}
