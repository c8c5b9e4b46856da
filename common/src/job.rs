//! The jobs of both queues, parsed on decode: a wrong job cannot exist further in.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use rmpv::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::fields::{FieldError, Fields};
use crate::picture_spec::PictureSpec;

/// Most characters of a text to paint that any job may carry; a stage may use fewer.
pub const MAX_TEXT: usize = 20_000;

/// Most labels: they all go into one event.
const MAX_LABELS: usize = 64;

/// Name of a job: `[a-z0-9-]{1,64}`, safe in subjects and object keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(String);

impl JobId {
    /// What [`JobId::parse`] takes, in words.
    pub const ALLOWED: &'static str = "1 to 64 characters of a-z, 0-9 and -";

    /// Checks a name that came from outside.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(FieldError::new(field, text, Self::ALLOWED))
    }

    /// The name of a job that came without one: the same at every redelivery, another one in a
    /// stream that was made anew (`created`: its creation in Unix nanoseconds).
    pub fn of_message(stream: &str, created: i128, sequence: u64) -> Self {
        let digest = Sha256::digest(format!("{stream}/{created}/{sequence}"));
        let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{digest}-{sequence}"))
    }

    /// A new name that nobody can guess (128 random bits).
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What both jobs carry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Common {
    /// The name the sender gave.
    pub id: Option<JobId>,
    /// Wishes for the pictures.
    pub picture: PictureSpec,
    /// When the job is worth nothing any more.
    pub deadline: Option<OffsetDateTime>,
    /// The sender's own marks, passed on to events and the receipt.
    pub labels: BTreeMap<String, String>,
    /// Fields this version does not know.
    pub extra: Vec<(Value, Value)>,
}

/// Where the recording is.
#[derive(Debug, Clone, PartialEq)]
pub enum AudioSource {
    /// In the message itself.
    Inline(Bytes),
    /// In the bucket.
    Stored {
        /// Key below `audio/`.
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

/// Where a job ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// After stage one.
    Transcript,
    /// With pictures.
    #[default]
    Picture,
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
    /// Where the job ends.
    pub until: Until,
    /// What both jobs carry.
    pub common: Common,
}

/// A text to be painted.
#[derive(Debug, Clone, PartialEq)]
pub struct TextJob {
    /// What to paint.
    pub text: String,
    /// What both jobs carry.
    pub common: Common,
}

impl Common {
    /// Takes the shared fields out of `fields`; call it last, it keeps the rest.
    pub fn parse(mut fields: Fields) -> Result<Self, FieldError> {
        let id = fields.text("id")?.map(|text| JobId::parse("id", &text)).transpose()?;
        let deadline = fields.parsed("deadline", "a time as 2027-01-01T00:00:00Z (RFC 3339)", |text| {
            OffsetDateTime::parse(text, &Rfc3339).ok()
        })?;
        let picture = PictureSpec::parse(fields.object("picture")?)?;
        let labels = labels(fields.object("labels")?)?;
        Ok(Self { id, picture, deadline, labels, extra: fields.rest() })
    }

    /// The shared fields again, with `own` of the job in front.
    pub fn to_value(&self, mut own: Vec<(Value, Value)>) -> Value {
        own.extend(self.id.as_ref().map(|id| ("id".into(), id.as_str().into())));
        own.push(("picture".into(), self.picture.to_value()));
        let deadline = self.deadline.and_then(|time| time.format(&Rfc3339).ok());
        own.extend(deadline.map(|time| ("deadline".into(), time.into())));
        let labels = self.labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into()));
        own.push(("labels".into(), Value::Map(labels.collect())));
        own.extend(self.extra.iter().cloned());
        Value::Map(own)
    }
}

fn labels(fields: Option<Fields>) -> Result<BTreeMap<String, String>, FieldError> {
    let Some(fields) = fields else { return Ok(BTreeMap::new()) };
    let path = |key: &str| format!("labels.{key}");
    let all = fields.rest();
    if all.len() > MAX_LABELS {
        return Err(FieldError::new("labels", format!("{} labels", all.len()), format!("at most {MAX_LABELS}")));
    }
    all.into_iter()
        .map(|(key, value)| {
            let key = key.as_str().unwrap_or_default().to_owned();
            match value.as_str() {
                Some(text) if text.len() <= 256 && key.len() <= 64 => Ok((key, text.to_owned())),
                _ => Err(FieldError::new(&path(&key), value, "a string of at most 256 bytes")),
            }
        })
        .collect()
}
