//! What the bucket keeps of a recording's words.

use anyhow::Context as _;
use serde_json::{Value, json};
use shanshui_pipeline::event::Event;
use shanshui_pipeline::made::{Made, MadeObject};
use shanshui_pipeline::store::Stored;

use crate::decoding::Transcript;

/// Largest transcript that is read back, in bytes; half an hour of speech takes about one.
pub const MAX_BYTES: u64 = 64 << 20;

/// Longest text in an event, in characters.
const MAX_TOLD: usize = 100_000;

/// The content of `transcript.json`.
pub fn of(transcript: &Transcript, model: &Value, audio_sha256: &str) -> Value {
    let mut record = serde_json::to_value(transcript).unwrap_or_default();
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
    /// The object.
    pub stored: Stored,
    model: Value,
    audio_sha256: Value,
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
        Ok(Self { text, language, stored, model, audio_sha256 })
    }

    /// The event that tells the words; one that would be too long for an event tells their beginning,
    /// and the object has all of them.
    pub fn event(&self, seconds: f64) -> Event {
        let text: String = self.text.chars().take(MAX_TOLD).collect();
        let (language, key) = (self.language.clone(), self.stored.key.clone());
        Event::Transcript { text, language, key, seconds, incomplete: None }
    }

    /// What the receipt says of this stage.
    pub fn made(&self, audio: Option<&str>) -> Made {
        let mut objects = vec![self.stored.object("transcript")];
        let sha256 = self.audio_sha256.as_str().unwrap_or_default();
        objects.extend(audio.map(|key| MadeObject {
            kind: "audio".into(),
            key: key.into(),
            sha256: sha256.into(),
            bytes: None,
        }));
        let facts = json!({ "language": self.language, "model": self.model, "audio_sha256": self.audio_sha256 });
        Made::new(objects, facts)
    }
}
