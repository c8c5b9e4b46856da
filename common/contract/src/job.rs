//! What every job carries, and how a job is read and written.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use rmpv::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use crate::audio::{AudioJob, AudioSource, Task};
use crate::fields::{FieldError, Fields};
pub use crate::id::JobId;
use crate::made::Made;
use crate::picture::PictureSpec;
pub use crate::text::{MAX_TEXT, TextJob};

/// Most labels: they all go into one event.
pub(crate) const MAX_LABELS: usize = 64;
/// Longest name and longest value of a label, in bytes.
pub(crate) const LABEL: (usize, usize) = (64, 256);
/// Most attempts that a job may ask for.
pub(crate) const MAX_ATTEMPTS: u64 = 100;

/// A job that travels on one of the queues. A wrong job cannot exist: reading one refuses it.
pub trait Job: Sized + Send + Sync + 'static {
    /// The queue: second token of the subject, and in upper case the stream.
    const QUEUE: &'static str;

    /// The job in a payload that is not an object: a recording, or a text.
    fn from_raw(payload: Bytes) -> Result<Self, FieldError>;
    /// The job in an object, JSON or MessagePack.
    fn from_fields(fields: Fields) -> Result<Self, FieldError>;
    /// The object again.
    fn to_value(&self) -> Value;
    /// What every job carries.
    fn meta(&self) -> &JobMeta;
    /// What every job carries.
    fn meta_mut(&mut self) -> &mut JobMeta;
    /// The model that the job names for its stage, with the field that names it.
    fn model(&self) -> Option<(&'static str, &str)> {
        None
    }
}

/// The output of a stage that passes nothing on.
impl Job for Infallible {
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

    fn meta(&self) -> &JobMeta {
        match *self {}
    }

    fn meta_mut(&mut self) -> &mut JobMeta {
        match *self {}
    }
}

/// What every job carries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobMeta {
    /// The name the sender gave.
    pub id: Option<JobId>,
    /// Wishes for the pictures.
    pub picture: PictureSpec,
    /// The stage after which the job is complete; absent: the last one.
    pub until: Option<String>,
    /// When the job is worth nothing any more.
    pub deadline: Option<OffsetDateTime>,
    /// A job that no worker has begun by then is not begun.
    pub start_before: Option<OffsetDateTime>,
    /// Attempts at each stage; absent: as its workers are set.
    pub attempts: Option<u64>,
    /// The sender's own marks, passed on to events and the receipt.
    pub labels: BTreeMap<String, String>,
    /// What earlier stages made. Only the pipeline writes it; a worker refuses a sender's.
    pub made: Vec<Made>,
    /// Fields this version does not know.
    pub extra: Vec<(Value, Value)>,
}

impl JobMeta {
    /// Takes the shared fields out of `fields`; call it last, it keeps the rest.
    pub fn parse(mut fields: Fields) -> Result<Self, FieldError> {
        Ok(Self {
            id: fields.text("id")?.map(|text| JobId::parse("id", &text)).transpose()?,
            deadline: fields.time("deadline")?,
            start_before: fields.time("start_before")?,
            attempts: fields.integer("attempts", 1..=MAX_ATTEMPTS)?,
            until: fields.name("until")?,
            picture: PictureSpec::parse(fields.object("picture")?)?,
            labels: labels(fields.object("labels")?)?,
            made: made(&mut fields)?,
            extra: fields.rest(),
        })
    }

    /// The shared fields again, with `own` of the job in front.
    pub fn to_value(&self, mut own: Vec<(Value, Value)>) -> Value {
        let time = |time: Option<OffsetDateTime>| time.and_then(|time| time.format(&Rfc3339).ok()).map(Value::from);
        let mut put = |name: &str, value: Option<Value>| own.extend(value.map(|value| (name.into(), value)));
        put("id", self.id.as_ref().map(|id| id.as_str().into()));
        put("picture", Some(self.picture.to_value()));
        put("until", self.until.as_deref().map(Into::into));
        put("deadline", time(self.deadline));
        put("start_before", time(self.start_before));
        put("attempts", self.attempts.map(Into::into));
        let labels = self.labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into()));
        put("labels", Some(Value::Map(labels.collect())));
        put("made", (!self.made.is_empty()).then(|| made_value(&self.made)));
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
                Some(text) if text.len() <= LABEL.1 && key.len() <= LABEL.0 => Ok((key, text.to_owned())),
                _ => Err(FieldError::new(&path(&key), value, format!("a string of at most {} bytes", LABEL.1))),
            }
        })
        .collect()
}

/// Read as JSON text, so that its digest is the same at every stage.
fn made(fields: &mut Fields) -> Result<Vec<Made>, FieldError> {
    let Some(text) = fields.text("made")? else { return Ok(Vec::new()) };
    let parsed = serde_json::from_str(&text);
    parsed.map_err(|_| FieldError::new("made", "(given)", "nothing; only the pipeline writes it"))
}

fn made_value(made: &[Made]) -> Value {
    serde_json::to_string(made).unwrap_or_default().into()
}
