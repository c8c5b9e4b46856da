//! Text from outside, made fit for a tokenizer, a log line and a picture's metadata.

pub mod syntax;
pub mod tags;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use self::syntax::Syntax;

/// Marks kept on one letter: Vietnamese and polytonic Greek need three, stacked "zalgo" has dozens.
const MAX_MARKS: usize = 4;

/// A cleaned prompt: one line of visible text in normal form C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text, possibly empty.
    pub text: String,
    /// Whether the end was cut off to keep to the limit.
    pub truncated: bool,
}

/// A job's texts, as they are painted.
#[derive(Clone, Debug, PartialEq)]
pub struct Texts {
    /// What the pictures show.
    pub prompt: String,
    /// What they should not show.
    pub negative: String,
    /// Adaptations that the texts name, by name and weight.
    pub loras: Vec<(String, f64)>,
    /// Whether an end was cut off to keep to the limit.
    pub truncated: bool,
    /// Markup that is read as plain text.
    pub markup: Vec<String>,
}

impl Texts {
    /// Cleans prompt and negative prompt, and takes out what `syntax` has for adaptations.
    #[must_use]
    pub fn clean(raw: [&str; 2], syntax: Syntax, max_chars: usize) -> Self {
        let cleaned = raw.map(|raw| Prompt::clean(raw, max_chars));
        let truncated = cleaned.iter().any(|prompt| prompt.truncated);
        let texts = cleaned.map(|prompt| prompt.text);
        if syntax == Syntax::Plain {
            let markup = texts.iter().flat_map(|text| tags::plain_markup(text)).collect();
            let [prompt, negative] = texts;
            return Self { prompt, negative, loras: Vec::new(), truncated, markup };
        }
        let [(prompt, mut loras), (negative, more)] = texts.map(|text| tags::take_loras(&text));
        loras.extend(more);
        let markup = [&prompt, &negative].into_iter().flat_map(|text| tags::unread_markup(text)).collect();
        Self { prompt, negative, loras, truncated, markup }
    }
}

impl Prompt {
    /// Cleans `raw` and keeps at most `max_chars` characters of it.
    ///
    /// Composes to normal form C, turns any run of white space into one space, and drops what
    /// cannot be seen: control characters, direction marks, zero-width characters, tags, and marks
    /// piled on one letter. Markup stays as the text that it is, and courtesies stay too: the model
    /// has learnt them.
    #[must_use]
    pub fn clean(raw: &str, max_chars: usize) -> Self {
        let mut marks = 0;
        let visible = raw.chars().filter(|&c| c.is_whitespace() || !is_invisible(c)).filter(|&c| {
            marks = if is_combining_mark(c) { marks + 1 } else { 0 };
            marks <= MAX_MARKS
        });
        let mut words = Words::default();
        let mut text: String = visible.nfc().filter_map(|c| words.next(c)).take(max_chars + 2).collect();
        text.truncate(text.trim_end().len());
        let truncated = text.chars().count() > max_chars;
        if truncated {
            text = text.chars().take(max_chars).collect();
            text.truncate(text.trim_end().len());
        }
        Self { text, truncated }
    }
}

/// Turns runs of white space into single spaces and drops the leading run.
#[derive(Default)]
struct Words {
    after_letter: bool,
}

impl Words {
    fn next(&mut self, c: char) -> Option<char> {
        let was_letter = std::mem::replace(&mut self.after_letter, !c.is_whitespace());
        if !c.is_whitespace() {
            return Some(c);
        }
        was_letter.then_some(' ')
    }
}

/// Characters that print nothing of their own: Unicode's controls, default-ignorable formats that
/// reorder or hide text, variation selectors, tags, and noncharacters.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FDD0}'..='\u{FDEF}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
        || (c as u32 & 0xFFFE) == 0xFFFE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(raw: &str) -> String {
        Prompt::clean(raw, 2000).text
    }

    #[test]
    fn white_space_of_every_kind_becomes_one_space_and_none_at_the_ends() {
        assert_eq!(cleaned("\t a\r\n\u{2028}red\u{A0}\u{3000} car \n"), "a red car");
    }

    #[test]
    fn s09_control_direction_zero_width_and_tag_characters_are_dropped() {
        let raw = "ca\0t\u{7} \u{202E}on\u{2066} a\u{200B} \u{FEFF}hi\u{AD}ll\u{9B}\u{E0041}\u{FFFF}";
        assert_eq!(cleaned(raw), "cat on a hill");
    }

    #[test]
    fn s09_letters_are_composed_and_piled_marks_are_capped() {
        assert_eq!(cleaned("cafe\u{301}"), "caf\u{e9}");
        let piled = cleaned(&format!("a{}b", "\u{317}".repeat(100_000)));
        assert_eq!(piled.chars().count(), 2 + MAX_MARKS);
    }

    #[test]
    fn markup_courtesies_and_other_scripts_stay_as_they_are() {
        for text in ["<script>alert(1)</script>", "Please, draw me a cat.", "高山流水", "sơn thủy hữu tình", "🐼 & 🎋"]
        {
            assert_eq!(cleaned(text), text);
        }
    }

    #[test]
    fn s09_a_long_text_is_cut_at_the_limit_and_says_so() {
        let long = Prompt::clean(&"ab ".repeat(40_000), 2000);
        assert!(long.truncated);
        assert!((1999..=2000).contains(&long.text.chars().count()));
        let exact = Prompt::clean(&format!("{}  ", "x".repeat(2000)), 2000);
        assert_eq!((exact.text.len(), exact.truncated), (2000, false));
    }

    #[test]
    fn an_adaptation_in_a_text_is_read_or_named_and_never_spelt_out_in_silence() {
        let raw = ["a cat <lora:detail:0.8>", "[a|b] <lora:blur:-1>"];
        let plain = Texts::clean(raw, Syntax::Plain, 2000);
        assert_eq!((plain.prompt.as_str(), plain.loras.len()), (raw[0], 0));
        assert_eq!(plain.markup, ["<lora:detail:0.8>", "<lora:blur:-1>"]);
        let read = Texts::clean(raw, Syntax::A1111, 2000);
        assert_eq!((read.prompt.as_str(), read.negative.as_str()), ("a cat", "[a|b]"));
        assert_eq!(read.loras, [("detail".to_owned(), 0.8), ("blur".to_owned(), -1.0)]);
        assert_eq!(read.markup, ["[a|b]"]);
    }

    #[test]
    fn nothing_visible_leaves_nothing() {
        assert_eq!(Prompt::clean(" \u{200B}\n\0", 10), Prompt { text: String::new(), truncated: false });
    }
}
