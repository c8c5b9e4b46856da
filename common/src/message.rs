//! How a job is read from a message and written into one.

use bytes::Bytes;
use rmpv::Value;

use crate::fields::{FieldError, Fields};
use crate::job::{AudioJob, AudioSource, Common, JobId, MAX_TEXT, Task, TextJob, Until};

/// A job that travels on one of the queues.
pub trait Message: Sized + Send + Sync + 'static {
    /// The queue: second token of the subject, and in upper case the stream.
    const QUEUE: &'static str;

    /// The job in a payload that is not an object: a recording, or a text.
    fn from_raw(payload: Bytes) -> Result<Self, FieldError>;
    /// The job in an object, JSON or MessagePack.
    fn from_fields(fields: Fields) -> Result<Self, FieldError>;
    /// The object again.
    fn to_value(&self) -> Value;
    /// What every job carries.
    fn common(&self) -> &Common;
    /// What every job carries.
    fn common_mut(&mut self) -> &mut Common;
}

impl Message for AudioJob {
    const QUEUE: &'static str = "audio";

    fn from_raw(payload: Bytes) -> Result<Self, FieldError> {
        Ok(Self::new(AudioSource::Inline(not_empty(payload)?)))
    }

    fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let audio = audio(fields.object("audio")?)?;
        Ok(Self {
            audio,
            language: fields.parsed("language", "a language as Whisper names it: en, zh, english, …", language)?,
            task: fields.parsed("task", "auto, transcribe or translate", task)?.unwrap_or_default(),
            hint: fields.text("hint")?,
            until: fields.parsed("until", "picture or transcript", until)?.unwrap_or_default(),
            common: Common::parse(fields)?,
        })
    }

    fn to_value(&self) -> Value {
        let mut own = vec![("audio".into(), audio_value(&self.audio))];
        let mut put = |name: &str, value: Option<&str>| {
            own.extend(value.map(|value| (name.into(), value.into())));
        };
        put("language", self.language.as_deref());
        put("hint", self.hint.as_deref());
        put(
            "task",
            Some(match self.task {
                Task::Auto => "auto",
                Task::Transcribe => "transcribe",
                Task::Translate => "translate",
            }),
        );
        put(
            "until",
            Some(match self.until {
                Until::Transcript => "transcript",
                Until::Picture => "picture",
            }),
        );
        self.common.to_value(own)
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }
}

impl AudioJob {
    /// A job for this recording with every default.
    pub fn new(audio: AudioSource) -> Self {
        let (task, until) = (Task::default(), Until::default());
        Self { audio, language: None, task, hint: None, until, common: Common::default() }
    }
}

impl Message for TextJob {
    const QUEUE: &'static str = "text";

    fn from_raw(payload: Bytes) -> Result<Self, FieldError> {
        let allowed = "UTF-8 text, or an object as JSON or MessagePack";
        match std::str::from_utf8(&payload) {
            Ok(text) => Ok(Self { text: checked_text(text)?, common: Common::default() }),
            Err(error) => Err(FieldError::new("payload", error, allowed)),
        }
    }

    fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let text = fields.text("text")?.ok_or_else(|| FieldError::missing("text", "the text to paint"))?;
        Ok(Self { text: checked_text(&text)?, common: Common::parse(fields)? })
    }

    fn to_value(&self) -> Value {
        self.common.to_value(vec![("text".into(), self.text.as_str().into())])
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }
}

/// The output of a stage that is the last one.
#[derive(Debug, Clone)]
pub enum Nothing {}

impl Message for Nothing {
    const QUEUE: &'static str = "nothing";

    fn from_raw(_: Bytes) -> Result<Self, FieldError> {
        Err(FieldError::new("payload", "(any)", "nothing"))
    }

    fn from_fields(_: Fields) -> Result<Self, FieldError> {
        Err(FieldError::new("payload", "(any)", "nothing"))
    }

    fn to_value(&self) -> Value {
        match *self {}
    }

    fn common(&self) -> &Common {
        match *self {}
    }

    fn common_mut(&mut self) -> &mut Common {
        match *self {}
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

/// Only objects below `audio/`, and no way out of it: a job must not read other objects.
fn audio_key(key: &str) -> Result<String, FieldError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let steps_out = key.split('/').any(|part| matches!(part, "" | "." | ".."));
    if key.len() <= 256 && key.starts_with("audio/") && key.chars().all(plain) && !steps_out {
        return Ok(key.to_owned());
    }
    let allowed = "a key below audio/ of at most 256 letters, digits, '.', '_', '-' and '/'";
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

fn checked_text(text: &str) -> Result<String, FieldError> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(FieldError::new("text", "(empty)", "at least one visible character"));
    }
    if length > MAX_TEXT {
        return Err(FieldError::new("text", format!("{length} characters"), format!("at most {MAX_TEXT} characters")));
    }
    Ok(text.to_owned())
}

fn language(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let fits = |byte: u8| byte.is_ascii_lowercase() || b" -".contains(&byte);
    ((2..=32).contains(&lower.len()) && lower.bytes().all(fits)).then_some(lower)
}

fn task(text: &str) -> Option<Task> {
    match text {
        "auto" => Some(Task::Auto),
        "transcribe" => Some(Task::Transcribe),
        "translate" => Some(Task::Translate),
        _ => None,
    }
}

fn until(text: &str) -> Option<Until> {
    match text {
        "picture" => Some(Until::Picture),
        "transcript" => Some(Until::Transcript),
        _ => None,
    }
}

/// Reads an id given beside a raw payload, in the header `Shanshui-Job`.
pub fn header_id(text: &str) -> Result<JobId, FieldError> {
    JobId::parse("header Shanshui-Job", text)
}
