//! What the bucket keeps of a recording's words.

use anyhow::Context as _;
use serde_json::{Value, json};
use shanshui_pipeline::event::Event;
use shanshui_pipeline::made::{Made, MadeObject};
use shanshui_pipeline::store::Stored;

use crate::audio::Source;
use crate::decoding::Transcript;
use crate::voice::{self, Reading};

/// Largest transcript that is read back, in bytes; half an hour of speech takes about one.
pub const MAX_BYTES: u64 = 64 << 20;

/// Longest text in an event, in characters.
const MAX_TOLD: usize = 100_000;

/// The content of `transcript.json`.
pub fn of(transcript: &Transcript, source: &Source, model: &Value, audio_sha256: &str) -> Value {
    let mut record = serde_json::to_value(transcript).unwrap_or_default();
    record["audio"] = serde_json::to_value(source).unwrap_or_default();
    record["version"] = 1.into();
    record["model"] = model.clone();
    record["audio_sha256"] = audio_sha256.into();
    record
}

/// Words that lie in the bucket.
#[derive(Debug)]
pub struct Said {
    /// What was said.
    pub text: String,
    /// Code of the language spoken.
    pub language: String,
    /// Whether the text is a translation to English.
    translated: bool,
    /// The object.
    pub stored: Stored,
    model: Value,
    audio_sha256: Value,
    source: Source,
    /// Subtitles and plain text beside it.
    files: Vec<Stored>,
}

impl Said {
    /// Reads what [`of`] wrote.
    ///
    /// # Errors
    /// When the object is not that.
    pub fn read(bytes: &[u8], stored: Stored) -> anyhow::Result<Self> {
        let record: Value =
            serde_json::from_slice(bytes).with_context(|| format!("{} is no transcript", stored.key))?;
        let field = |name: &str| {
            record[name].as_str().map(str::to_owned).with_context(|| format!("{} has no {name}", stored.key))
        };
        let (text, language) = (field("text")?, field("language")?);
        let (model, audio_sha256) = (record["model"].clone(), record["audio_sha256"].clone());
        let source = serde_json::from_value(record["audio"].clone()).unwrap_or_default();
        let translated = record["task"] == "translate";
        Ok(Self { text, language, translated, stored, model, audio_sha256, source, files: Vec::new() })
    }

    /// The words told apart: what is to be painted, and wishes for the picture.
    pub fn read_wishes(&self) -> Reading {
        voice::read(&self.text, voice::language_of(&self.text, &self.language, self.translated))
    }

    /// The same words with the files that hold them as well.
    pub fn with_files(self, files: Vec<Stored>) -> Self {
        Self { files, ..self }
    }

    /// The event that tells the words; one that would be too long for an event tells their beginning,
    /// and the object has all of them.
    pub fn event(&self, seconds: f64, voice: Option<&Reading>) -> Event {
        let text: String = self.text.chars().take(MAX_TOLD).collect();
        let (language, key) = (self.language.clone(), self.stored.key.clone());
        let voice = voice.and_then(Reading::told);
        Event::Transcript { text, language, key, seconds, incomplete: self.incomplete(), voice }
    }

    /// What was not heard, if anything.
    fn incomplete(&self) -> Option<String> {
        let what = match (self.source.truncated, self.source.damaged) {
            (true, true) => "the recording is cut off and damaged",
            (true, false) => "the recording is cut off",
            (false, true) => "the recording is damaged",
            (false, false) => return None,
        };
        Some(format!("{what}: {:.1} s of it were heard", self.source.seconds))
    }

    /// What the receipt says of this stage.
    pub fn made(&self, audio: Option<&str>, voice: Option<&Reading>) -> Made {
        let mut objects = vec![self.stored.object("transcript")];
        objects.extend(self.files.iter().map(|file| file.object("subtitles")));
        let sha256 = self.audio_sha256.as_str().unwrap_or_default();
        objects.extend(audio.map(|key| MadeObject {
            kind: "audio".into(),
            key: key.into(),
            sha256: sha256.into(),
            bytes: None,
        }));
        let mut facts = json!({
            "language": self.language,
            "model": self.model,
            "audio_sha256": self.audio_sha256,
            "audio": self.source,
            "incomplete": self.incomplete(),
        });
        if let Some(read) = voice.and_then(Reading::told) {
            facts["voice"] = read;
        }
        Made::new(objects, facts)
    }
}
