//! Which language is spoken, and whether the model reads it.

use super::{Options, TranscribeError, window::detect_language};
use crate::whisper::{
    Whisper,
    languages::{self, Language},
    towers::Listening,
};

pub(super) const ENGLISH: &str = "en";

/// A language, and how sure its detection is; given ones have no doubt.
#[derive(Clone, Copy)]
pub(super) struct Spoken {
    pub(super) language: &'static Language,
    pub(super) probability: Option<f32>,
}

/// A language or task that the model does not know is refused before anything is heard.
pub(super) fn check(whisper: &Whisper, options: &Options) -> Result<(), TranscribeError> {
    let spoken = options.language.as_deref().unwrap_or(ENGLISH);
    let language = languages::find(spoken).map_err(TranscribeError::Wish)?;
    let task = if options.language.is_some() { options.task_for(language.code) } else { options.task };
    let beginning = whisper.tokens().beginning(language, task, options.timestamps);
    beginning.map(drop).map_err(TranscribeError::Wish)
}

/// The language of a window.
pub(super) fn detect(whisper: &Whisper, heard: &dyn Listening) -> Result<Spoken, TranscribeError> {
    let found = detect_language(whisper, heard)?;
    Ok(match found.first() {
        Some((language, probability)) => Spoken { language, probability: Some(*probability) },
        None => Spoken { language: languages::find(ENGLISH).map_err(TranscribeError::Wish)?, probability: None },
    })
}
