//! What the bucket keeps of a recording's words.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};
use shanshui_common::job::{Common, JobId, MAX_TEXT, TextJob};
use shanshui_common::store::Stored;

use crate::audio::Source;
use crate::decoding::Transcript;

/// Largest transcript that is read back, in bytes; half an hour of speech takes about one.
pub const MAX_BYTES: u64 = 64 << 20;

/// The content of `transcript.json`.
pub fn of(transcript: &Transcript, source: &Source, model: &Value, audio_sha256: &str) -> Value {
    let mut record = serde_json::to_value(transcript).unwrap_or_default();
    record["audio"] = serde_json::to_value(source).unwrap_or_default();
    record["version"] = 1.into();
    record["model"] = model.clone();
    record["audio_sha256"] = audio_sha256.into();
    record
}

/// As much of a text as a job may carry, up to the end of a word: the transcript keeps all of it,
/// and a picture shows its beginning anyway.
pub fn paintable(text: String) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_TEXT) else { return text };
    let kept = &text[..end];
    let word = kept.rfind(char::is_whitespace).filter(|space| *space > end / 2);
    kept[..word.unwrap_or(end)].trim_end().to_owned()
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

    /// The job for the next stage; what it came from travels along, for the receipt.
    pub fn into_job(self, audio: Option<&str>, mut common: Common) -> TextJob {
        let source = serde_json::from_value(self.source(audio)).unwrap_or(rmpv::Value::Nil);
        common.extra.retain(|(key, _)| key.as_str() != Some("source"));
        common.extra.push(("source".into(), source));
        TextJob { text: paintable(self.text), common }
    }

    /// The receipt of a job that ends with its transcript.
    pub fn receipt(&self, audio: Option<&str>, job: &JobId, labels: &BTreeMap<String, String>) -> Value {
        let source = self.source(audio);
        json!({
            "version": 1,
            "job": job.as_str(),
            "text": self.text,
            "labels": labels,
            "objects": source["objects"],
            "source": source,
        })
    }

    fn source(&self, audio: Option<&str>) -> Value {
        let Stored { key, sha256, bytes, .. } = &self.stored;
        let mut objects = vec![json!({ "kind": "transcript", "key": key, "sha256": sha256, "bytes": bytes })];
        objects.extend(audio.map(|key| json!({ "kind": "audio", "key": key, "sha256": self.audio_sha256 })));
        json!({
            "language": self.language,
            "model": self.model,
            "audio_sha256": self.audio_sha256,
            "objects": objects,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_talk_is_painted_by_its_beginning_instead_of_being_refused() {
        let talk = "The mountain is high, and the river is long. ".repeat(500);
        let text = paintable(talk.clone());
        assert!(talk.chars().count() == 22_500 && talk.starts_with(&text));
        assert!((MAX_TEXT - 10..=MAX_TEXT).contains(&text.chars().count()), "{}", text.len());
        let mandarin = "山".repeat(MAX_TEXT + 1);
        assert_eq!(paintable(mandarin).chars().count(), MAX_TEXT);
        assert_eq!(paintable("a fox".to_owned()), "a fox");
    }
}
