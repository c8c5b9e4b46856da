//! What is understood before a recording is read to its end.

use super::invention::{is_echo, may_be_invention};
use crate::whisper::tokens::Tokens;

/// What is heard, while it is heard.
#[derive(Debug)]
pub enum Hearing<'a> {
    /// Of the window that is being decoded. Another attempt at it may come to other words.
    Draft(Draft<'a>),
    /// Everything up to a window that is done with: later windows add to it.
    Settled {
        /// All words so far, with the spaces that Whisper puts around them.
        text: &'a str,
        /// Code of the language that was spoken.
        language: &'static str,
    },
}

/// The tokens of a window so far.
#[derive(Debug)]
pub struct Draft<'a> {
    pub(super) vocabulary: &'a Tokens,
    pub(super) tokens: &'a [u32],
    pub(super) language: &'static str,
    pub(super) hint: &'a str,
}

impl Draft<'_> {
    /// How many tokens there are, times included.
    #[must_use]
    pub fn length(&self) -> usize {
        self.tokens.len()
    }

    /// Code of the language that is spoken.
    #[must_use]
    pub fn language(&self) -> &'static str {
        self.language
    }

    /// The text so far, up to the last whole character. None where it may yet turn out as what Whisper
    /// writes when nobody speaks, or as an echo of the hint.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let mut text = self.vocabulary.decode(self.tokens).ok()?;
        // A token may end within a character.
        text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        (!may_be_invention(&text) && !is_echo(&text, self.hint)).then_some(text)
    }
}
