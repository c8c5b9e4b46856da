//! Text to tokens and back, and the tokens that steer Whisper.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use tokenizers::Tokenizer;

use super::{
    dims::{Dims, Settings},
    languages::{LANGUAGES, Language},
};
use crate::decoding::Task;

/// Seconds between two timestamp tokens.
pub(crate) const TIMESTAMP_SECONDS: f64 = 0.02;

/// The vocabulary of one model. Ids below [`Tokens::end`] are text, ids from
/// [`Tokens::first_timestamp`] on are times; what lies between steers.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// `<|endoftext|>`
    pub(crate) end: u32,
    /// `<|startoftranscript|>`
    pub(crate) start: u32,
    translate: u32,
    transcribe: u32,
    /// `<|startofprev|>`: what was said before follows.
    pub(crate) previous: u32,
    /// `<|nospeech|>`, which older vocabularies call `<|nocaptions|>`.
    pub(crate) no_speech: u32,
    pub(crate) no_timestamps: u32,
    /// `<|0.00|>`
    pub(crate) first_timestamp: u32,
    /// Empty for a model that reads only English.
    languages: Vec<(u32, &'static Language)>,
    /// Never written.
    pub(crate) suppressed: Vec<u32>,
    /// Never written first.
    pub(crate) suppressed_at_begin: Vec<u32>,
}

/// Rows of the embedding in the models that read only English.
const ENGLISH_VOCABULARY: usize = 51864;

impl Tokens {
    /// Reads `tokenizer.json` and finds the special tokens by their names.
    pub(super) fn read(folder: &Path, dims: &Dims, settings: &Settings) -> anyhow::Result<Self> {
        let path = folder.join("tokenizer.json");
        let tokenizer =
            Tokenizer::from_file(&path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        let id = |name: &str| {
            tokenizer.token_to_id(name).with_context(|| format!("tokenizer.json: token {name} is missing"))
        };
        let no_timestamps = id("<|notimestamps|>")?;
        let multilingual = settings.is_multilingual().unwrap_or(dims.vocabulary != ENGLISH_VOCABULARY);
        let mut tokens = Self {
            end: id("<|endoftext|>")?,
            start: id("<|startoftranscript|>")?,
            translate: id("<|translate|>")?,
            transcribe: id("<|transcribe|>")?,
            previous: id("<|startofprev|>")?,
            no_speech: id("<|nospeech|>").or_else(|_| id("<|nocaptions|>"))?,
            no_timestamps,
            first_timestamp: tokenizer.token_to_id("<|0.00|>").unwrap_or(no_timestamps + 1),
            languages: if multilingual { languages(&tokenizer) } else { Vec::new() },
            suppressed: settings.suppressed(dims.vocabulary),
            suppressed_at_begin: settings.suppressed_at_begin(dims.vocabulary),
            tokenizer,
        };
        tokens.check(dims)?;
        tokens.suppress_steering();
        Ok(tokens)
    }

    /// What comes before the text: start, language and task, whether times are wanted.
    ///
    /// # Errors
    /// A model that reads only English was asked for another language or to translate.
    pub(crate) fn beginning(&self, language: &Language, task: Task, timestamps: bool) -> anyhow::Result<Vec<u32>> {
        let mut tokens = vec![self.start];
        if self.languages.is_empty() {
            ensure!(
                language.code == "en",
                "language: {:?} cannot be read by this model; allowed is \"en\"",
                language.code
            );
            ensure!(
                task == Task::Transcribe,
                "task: \"translate\" needs a multilingual model; allowed is \"transcribe\""
            );
        } else {
            let Some((id, _)) = self.languages.iter().find(|(_, known)| *known == language) else {
                bail!("language: {:?} is not in the vocabulary of this model", language.code);
            };
            tokens.extend([*id, if task == Task::Translate { self.translate } else { self.transcribe }]);
        }
        if !timestamps {
            tokens.push(self.no_timestamps);
        }
        Ok(tokens)
    }

    /// Language tokens of a multilingual model; none if it reads only English.
    pub(crate) fn languages(&self) -> &[(u32, &'static Language)] {
        &self.languages
    }

    /// Tokens of a text; special tokens that it names are left out.
    pub(crate) fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| anyhow!("hint: cannot be read: {error}"))?;
        Ok(encoding.get_ids().iter().copied().filter(|id| *id < self.end).collect())
    }

    /// The text of tokens, without those that steer.
    pub(crate) fn decode(&self, tokens: &[u32]) -> anyhow::Result<String> {
        let text: Vec<u32> = tokens.iter().copied().filter(|id| *id < self.end).collect();
        self.tokenizer.decode(&text, true).map_err(|error| anyhow!("tokens cannot be turned into text: {error}"))
    }

    /// Whether a token is a time.
    pub(crate) fn is_timestamp(&self, token: u32) -> bool {
        token >= self.first_timestamp
    }

    /// Seconds from the start of the window that a timestamp token stands for.
    pub(crate) fn seconds(&self, timestamp: u32) -> f64 {
        f64::from(timestamp.saturating_sub(self.first_timestamp)) * TIMESTAMP_SECONDS
    }

    fn check(&self, dims: &Dims) -> anyhow::Result<()> {
        let steering = [
            self.start,
            self.translate,
            self.transcribe,
            self.previous,
            self.no_speech,
            self.no_timestamps,
            self.first_timestamp,
        ];
        let languages = self.languages.iter().map(|(id, _)| *id);
        for id in steering.into_iter().chain(languages) {
            ensure!(id > self.end, "tokenizer.json: special token {id} comes before <|endoftext|>, {}", self.end);
            ensure!(
                (id as usize) < dims.vocabulary,
                "tokenizer.json: special token {id} is beyond the {} tokens of the weights",
                dims.vocabulary
            );
        }
        Ok(())
    }

    /// Steering tokens are no text, whatever the lists of the model say.
    fn suppress_steering(&mut self) {
        self.suppressed.extend([self.start, self.translate, self.transcribe, self.previous, self.no_speech]);
        self.suppressed.extend(self.tokenizer.token_to_id("<|startoflm|>"));
        if self.suppressed_at_begin.is_empty() {
            self.suppressed_at_begin.extend(self.tokenizer.token_to_id("Ġ"));
            self.suppressed_at_begin.push(self.end);
        }
    }
}

fn languages(tokenizer: &Tokenizer) -> Vec<(u32, &'static Language)> {
    let id = |language: &'static Language| Some((tokenizer.token_to_id(&format!("<|{}|>", language.code))?, language));
    LANGUAGES.iter().filter_map(id).collect()
}
