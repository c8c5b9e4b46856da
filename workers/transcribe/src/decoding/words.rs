//! The words of a segment and their times.

use std::ops::Range;

use super::{Task, Word, segments::Cut};
use crate::whisper::tokens::Tokens;

/// Whether spaces part the words of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Spaced,
    /// A character counts as a word.
    Unspaced,
}

impl Script {
    /// Of what is written for a language.
    pub(super) fn of(language: &str, task: Task) -> Self {
        match language {
            "zh" | "yue" | "ja" | "th" | "lo" | "my" | "bo" | "km" if task == Task::Transcribe => Self::Unspaced,
            _ => Self::Spaced,
        }
    }
}

/// Longer than twice the usual word of its segment, and than twice this, a word has a pause in it.
const USUAL_WORD: f64 = 0.7;
const SENTENCE_ENDS: [char; 8] = ['.', '?', '!', '…', '。', '？', '！', '．'];

/// The words of a cut, in seconds of the window. `begins` says when each token of the window begins; the
/// words are none if it does not.
pub(super) fn of(
    cut: &Cut<'_>,
    logprobs: &[f32],
    begins: &[f64],
    (vocabulary, script): (&Tokens, Script),
) -> anyhow::Result<Vec<Word>> {
    let Some(last) = begins.last() else { return Ok(Vec::new()) };
    let begin = |token: usize| *begins.get(token).unwrap_or(last);
    let mut words = Vec::new();
    for (text, tokens) in split(cut.tokens, vocabulary, script)? {
        let tokens = cut.first + tokens.start..cut.first + tokens.end;
        let logprobs = logprobs.get(tokens.clone()).unwrap_or_default();
        words.push(Word {
            start: begin(tokens.start),
            end: begin(tokens.end),
            text: text.trim().to_owned(),
            probability: (logprobs.iter().sum::<f32>() / logprobs.len().max(1) as f32).exp(),
        });
    }
    shorten(&mut words);
    Ok(words)
}

/// The words with the range of their tokens. Times among the tokens belong to none.
fn split(tokens: &[u32], vocabulary: &Tokens, script: Script) -> anyhow::Result<Vec<(String, Range<usize>)>> {
    let mut words: Vec<(String, Range<usize>)> = Vec::new();
    for (text, tokens) in characters(tokens, vocabulary)? {
        let bare = text.trim();
        match words.last_mut() {
            Some((word, of_word)) if !begins_word(word, &text, script) => {
                word.push_str(&text);
                of_word.end = tokens.end;
            }
            _ if bare.is_empty() => {}
            _ => words.push((text, tokens)),
        }
    }
    Ok(words)
}

/// Whether a piece of text begins a word behind another. Closing punctuation belongs to what it closes,
/// opening punctuation to what it opens.
fn begins_word(before: &str, text: &str, script: Script) -> bool {
    let is_mark = |c: char| !c.is_alphanumeric() && !c.is_whitespace();
    let opens = |c: char| "\"'“‘¿¡([{-「『（《".contains(c);
    if before.trim().chars().all(opens) {
        return false;
    }
    let bare = text.trim();
    match script {
        _ if bare.is_empty() => false,
        Script::Spaced if text.starts_with(char::is_whitespace) => true,
        Script::Spaced => false,
        Script::Unspaced => !bare.chars().all(|c| is_mark(c) && !opens(c)),
    }
}

/// The tokens in groups that are whole characters: one of three bytes may be three tokens.
fn characters(tokens: &[u32], vocabulary: &Tokens) -> anyhow::Result<Vec<(String, Range<usize>)>> {
    /// Bytes of the longest character: no more tokens can be a part of it.
    const LONGEST: usize = 4;
    let mut groups = Vec::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        if *token >= vocabulary.end {
            start = at + 1;
            continue;
        }
        let text = vocabulary.decode(&tokens[start..=at])?;
        if !text.ends_with(char::REPLACEMENT_CHARACTER) || at - start + 1 == LONGEST {
            groups.push((text, start..at + 1));
            start = at + 1;
        }
    }
    Ok(groups)
}

/// Takes pauses out of words that seem too long: attention has no place for a pause. One before a
/// sentence goes to its first word, one behind a sentence to its last.
fn shorten(words: &mut [Word]) {
    let mut lengths: Vec<f64> = words.iter().map(|word| word.end - word.start).filter(|length| *length > 0.0).collect();
    lengths.sort_by(f64::total_cmp);
    let Some(usual) = lengths.get(lengths.len() / 2) else { return };
    let longest = 2.0 * usual.min(USUAL_WORD);
    let mut begins_sentence = true;
    let count = words.len();
    for (at, word) in words.iter_mut().enumerate() {
        let ends_sentence = word.text.ends_with(SENTENCE_ENDS) || at + 1 == count;
        if word.end - word.start > longest {
            match (begins_sentence, ends_sentence) {
                (true, _) => word.start = word.end - longest,
                (false, true) => word.end = word.start + longest,
                (false, false) => {}
            }
        }
        begins_sentence = ends_sentence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(start: f64, end: f64, text: &str) -> Word {
        Word { start, end, text: text.to_owned(), probability: 0.9 }
    }

    #[test]
    fn pauses_around_sentences_are_no_part_of_their_words() {
        let mut words = [
            word(0.0, 3.0, "A"),
            word(3.0, 3.3, "white"),
            word(3.3, 8.0, "owl."),
            word(8.0, 8.3, "At"),
            word(8.3, 8.6, "night"),
        ];
        shorten(&mut words);
        let times: Vec<(f64, f64)> = words.iter().map(|word| (word.start, word.end)).collect();
        assert!(times[0].0 > 2.3 && times[0].1 == 3.0, "{times:?}");
        assert!(times[2].0 == 3.3 && times[2].1 < 4.0, "{times:?}");
        assert_eq!(&times[3..], [(8.0, 8.3), (8.3, 8.6)]);
        shorten(&mut []);
        shorten(&mut [word(1.0, 1.0, "x")]);
    }

    #[test]
    fn punctuation_belongs_to_its_word() {
        for (before, text, begins) in [
            (" And", " so", true),
            (" And", ",", false),
            (" don", "'t", false),
            (" \"", "No", false),
            (" (", "no", false),
            (" 3", ".5", false),
            (" well", " -", true),
            (" well", " ", false),
        ] {
            assert_eq!(begins_word(before, text, Script::Spaced), begins, "{before:?} {text:?}");
        }
        for (before, text, begins) in [("山", "水", true), ("山", "。", false), ("「", "山", false), ("山", "「", true)]
        {
            assert_eq!(begins_word(before, text, Script::Unspaced), begins, "{before:?} {text:?}");
        }
        assert_eq!(Script::of("zh", Task::Translate), Script::Spaced);
        assert_eq!(Script::of("zh", Task::Transcribe), Script::Unspaced);
    }
}
