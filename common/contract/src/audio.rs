//! The job of the transcribe stage.

use bytes::Bytes;
use rmpv::Value;

use crate::fields::{FieldError, Fields};
use crate::job::{Job, JobMeta};

/// Longest key of an object in S3, in bytes.
pub(crate) const MAX_KEY: usize = 1024;

/// Where the recording is.
#[derive(Debug, Clone, PartialEq)]
pub enum AudioSource {
    /// In the message itself.
    Inline(Bytes),
    /// In the bucket.
    Stored {
        /// Its key. A worker reads only below the prefixes that its settings name.
        key: String,
        /// SHA-256 of the object in lower-case hexadecimal, if the sender knew it.
        sha256: Option<String>,
    },
}

/// What Whisper does with the words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// Translate unless the picture model reads the language.
    #[default]
    Auto,
    /// Keep the language.
    Transcribe,
    /// To English.
    Translate,
}

/// A recording to be understood, and perhaps painted.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioJob {
    /// The recording.
    pub audio: AudioSource,
    /// Language spoken, as Whisper names it (`zh`); absent: detect.
    pub language: Option<String>,
    /// Transcribe or translate.
    pub task: Task,
    /// Names and jargon for Whisper's initial prompt.
    pub hint: Option<String>,
    /// Name of the speech model, and so of the pool; absent or `default`: the default pool's.
    pub whisper: Option<String>,
    /// Spoken wishes, as "portrait" and "four pictures", are settings of the picture.
    pub voice: bool,
    /// What every job carries.
    pub meta: JobMeta,
}

impl AudioJob {
    /// A job for this recording with every default.
    pub fn new(audio: AudioSource) -> Self {
        let task = Task::default();
        Self { audio, language: None, task, hint: None, whisper: None, voice: false, meta: JobMeta::default() }
    }
}

impl Job for AudioJob {
    const QUEUE: &'static str = "audio";

    fn from_raw(payload: Bytes) -> Result<Self, FieldError> {
        Ok(Self::new(AudioSource::Inline(not_empty(payload)?)))
    }

    fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let audio = audio(fields.object("audio")?)?;
        let named =
            fields.parsed("language", "a language as Whisper names it (en, zh, english, …) or auto", language)?;
        Ok(Self {
            audio,
            language: named.flatten(),
            task: fields.parsed("task", "auto, transcribe or translate", task)?.unwrap_or_default(),
            hint: fields.text("hint")?.filter(|hint| !hint.trim().is_empty()),
            whisper: fields.name("whisper")?,
            voice: fields.boolean("voice")?.unwrap_or_default(),
            meta: JobMeta::parse(fields)?,
        })
    }

    fn to_value(&self) -> Value {
        let mut own = vec![("audio".into(), audio_value(&self.audio))];
        let task = match self.task {
            Task::Auto => "auto",
            Task::Transcribe => "transcribe",
            Task::Translate => "translate",
        };
        let mut put = |name: &str, value: Option<&str>| own.extend(value.map(|value| (name.into(), value.into())));
        put("language", self.language.as_deref());
        put("hint", self.hint.as_deref());
        put("task", Some(task));
        put("whisper", self.whisper.as_deref());
        own.extend(self.voice.then(|| ("voice".into(), true.into())));
        self.meta.to_value(own)
    }

    fn meta(&self) -> &JobMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut JobMeta {
        &mut self.meta
    }

    fn model(&self) -> Option<(&'static str, &str)> {
        Some(("whisper", self.whisper.as_deref()?))
    }
}

fn not_empty(payload: Bytes) -> Result<Bytes, FieldError> {
    if payload.is_empty() {
        return Err(FieldError::new("audio", "(0 bytes)", "a recording of at least one byte"));
    }
    Ok(payload)
}

fn audio(fields: Option<Fields>) -> Result<AudioSource, FieldError> {
    let allowed = "{ \"key\": \"audio/…\" } or { \"bytes\": … }";
    let mut fields = fields.ok_or_else(|| FieldError::missing("audio", allowed))?;
    let (key, bytes) = (fields.text("key")?, fields.bytes("bytes")?);
    match (key, bytes) {
        (Some(key), None) => Ok(AudioSource::Stored { key: audio_key(&key)?, sha256: sha256(&mut fields)? }),
        (None, Some(bytes)) => Ok(AudioSource::Inline(not_empty(bytes)?)),
        (Some(_), Some(_)) => Err(FieldError::new("audio", "key and bytes", "one of the two")),
        (None, None) => Err(FieldError::new("audio", "neither key nor bytes", allowed)),
    }
}

/// What S3 allows, less what a folder store would take for a way out of the bucket.
fn audio_key(key: &str) -> Result<String, FieldError> {
    let steps_out = key.split('/').any(|part| matches!(part, "." | ".."));
    if (1..=MAX_KEY).contains(&key.len()) && !key.starts_with('/') && !steps_out && !key.chars().any(char::is_control) {
        return Ok(key.to_owned());
    }
    let allowed = format!("a key of at most {MAX_KEY} bytes without control characters and without /./ and /../");
    Err(FieldError::new("audio.key", key, allowed))
}

fn sha256(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    fields.parsed("sha256", "64 hexadecimal digits", |text| {
        let fits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| text.to_ascii_lowercase())
    })
}

fn audio_value(audio: &AudioSource) -> Value {
    match audio {
        AudioSource::Inline(bytes) => Value::Map(vec![("bytes".into(), Value::Binary(bytes.to_vec()))]),
        AudioSource::Stored { key, sha256 } => {
            let mut entries = vec![("key".into(), key.as_str().into())];
            entries.extend(sha256.as_deref().map(|hex| ("sha256".into(), hex.into())));
            Value::Map(entries)
        }
    }
}

/// The inner option is `None` for the words that ask to have it detected.
fn language(text: &str) -> Option<Option<String>> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "" | "auto" | "detect") {
        return Some(None);
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || b" -".contains(&byte);
    ((2..=32).contains(&lower.len()) && lower.bytes().all(fits)).then_some(Some(lower))
}

fn task(text: &str) -> Option<Task> {
    match text {
        "auto" => Some(Task::Auto),
        "transcribe" => Some(Task::Transcribe),
        "translate" => Some(Task::Translate),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::TextJob;
    use crate::wire::{decode, encode};

    fn read<J: Job>(object: &str) -> Result<J, String> {
        decode(None, Bytes::from(object.to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn spoken_wishes_are_asked_for_where_somebody_speaks() {
        let audio = |voice: &str| read::<AudioJob>(&format!(r#"{{ "audio": {{ "key": "a" }}, "voice": {voice} }}"#));
        let job = audio("true").unwrap();
        assert!(job.voice && !audio("false").unwrap().voice && !audio("null").unwrap().voice);
        assert!(decode::<AudioJob>(None, encode(&job).1).unwrap().voice);
        let error = audio("7").unwrap_err();
        assert_eq!(error, "voice: 7 is not allowed; allowed: true or false");
        let error = read::<TextJob>(r#"{"text":"a cat","voice":true}"#).unwrap_err();
        assert_eq!(error, "voice: true is not allowed; allowed: false; nobody speaks in a job that begins with a text");
        assert!(read::<TextJob>(r#"{"text":"a cat","voice":false}"#).unwrap().meta.extra.is_empty());
    }
}
