//! Three ways in, one meaning: raw bytes, JSON and MessagePack.

use bytes::Bytes;
use rmpv::Value;

use crate::fields::{FieldError, Fields};
use crate::id::{JobId, sha256_hex};
use crate::job::Job;
use crate::made::Made;

/// Deepest nesting of a MessagePack object; serde_json has its own limit of 128.
const MAX_DEPTH: usize = 64;
/// Content type of the JSON form.
pub const JSON: &str = "application/json";
/// Content type of the MessagePack form.
pub const MSGPACK: &str = "application/msgpack";

#[derive(Debug, PartialEq)]
enum Form {
    Raw,
    Json,
    MsgPack,
}

/// Reads a job from a payload, by its `Content-Type` or else by its first bytes.
pub fn decode<J: Job>(content_type: Option<&str>, payload: Bytes) -> Result<J, FieldError> {
    Content::of(content_type, &payload).decode(payload)
}

/// A payload that has been read: a recording of many megabytes is not read again for every question about it.
#[derive(Debug)]
pub struct Content {
    form: Form,
    /// Nothing, where the payload is the recording or the text itself.
    value: Result<Value, FieldError>,
}

impl Content {
    /// Reads a payload, by its `Content-Type` or else by its first bytes.
    pub fn of(content_type: Option<&str>, payload: &[u8]) -> Self {
        let form = content_type.and_then(named).unwrap_or_else(|| sniffed(payload));
        let value = match form {
            Form::Raw => Ok(Value::Nil),
            Form::Json => json(payload),
            Form::MsgPack => msgpack(payload),
        };
        Self { form, value }
    }

    /// The job in it; `payload` is what it was read from.
    ///
    /// # Errors
    /// What is wrong with the job, by its field.
    pub fn decode<J: Job>(self, payload: Bytes) -> Result<J, FieldError> {
        match self.form {
            Form::Raw => J::from_raw(payload),
            Form::Json | Form::MsgPack => J::from_fields(Fields::new("", self.value?)?),
        }
    }

    /// The name in it, whatever else is wrong with it: who gave a job a name looks for its end under that name.
    pub fn name(&self) -> Name {
        match self.field("id") {
            None | Some(Value::Nil) => Name::Absent,
            Some(value) => match value.as_str() {
                Some(text) => JobId::parse("id", text).map_or_else(Name::Wrong, Name::Own),
                None => Name::Wrong(FieldError::new("id", value, JobId::ALLOWED)),
            },
        }
    }

    /// What earlier stages made of the job, whatever else is wrong with it: a job that one of them passed on has
    /// been accepted.
    pub fn made(&self) -> Vec<Made> {
        let text = self.field("made").and_then(Value::as_str);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&Value> {
        let Ok(Value::Map(pairs)) = &self.value else { return None };
        pairs.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
    }
}

/// What a payload says of itself before anything else is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The job's own field `id`.
    Own(JobId),
    /// There is an `id`, and it cannot be one.
    Wrong(FieldError),
    /// There is none.
    Absent,
}

/// The name in a payload: see [`Content::name`].
pub fn name(content_type: Option<&str>, payload: &[u8]) -> Name {
    Content::of(content_type, payload).name()
}

/// What earlier stages made of the job in a payload: see [`Content::made`].
pub fn made(content_type: Option<&str>, payload: &[u8]) -> Vec<Made> {
    Content::of(content_type, payload).made()
}

/// Writes a job: JSON, which any tool shows, unless it carries binary.
pub fn encode(job: &impl Job) -> (&'static str, Bytes) {
    encode_value(&job.to_value())
}

/// Writes an object.
pub fn encode_value(value: &Value) -> (&'static str, Bytes) {
    if !has_binary(value)
        && let Ok(json) = serde_json::to_vec(value)
    {
        return (JSON, json.into());
    }
    let mut packed = Vec::new();
    // Writing into memory cannot fail.
    let _ = rmpv::encode::write_value(&mut packed, value);
    (MSGPACK, packed.into())
}

/// A digest of what a job says and of what was made for it, whatever time that took; none for what is
/// no object. Two attempts that made the same have the same digest.
pub fn digest(payload: &[u8]) -> Option<String> {
    let value = match sniffed(payload) {
        Form::Raw => return None,
        Form::Json => json(payload),
        Form::MsgPack => msgpack(payload),
    };
    let Ok(Value::Map(mut pairs)) = value else { return None };
    let at = pairs.iter().position(|(key, _)| key.as_str() == Some("made"));
    let made = at.map_or(Value::Nil, |at| pairs.remove(at).1);
    let made: Vec<Made> = serde_json::from_str(made.as_str().unwrap_or("[]")).ok()?;
    pairs.push(("made".into(), Made::digest(&made).into()));
    let mut packed = Vec::new();
    rmpv::encode::write_value(&mut packed, &Value::Map(pairs)).ok()?;
    Some(sha256_hex(&packed))
}

fn named(content_type: &str) -> Option<Form> {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        JSON => Some(Form::Json),
        MSGPACK | "application/x-msgpack" | "application/vnd.msgpack" => Some(Form::MsgPack),
        "text/plain" | "application/ogg" => Some(Form::Raw),
        media if media.starts_with("audio/") || media.starts_with("video/") => Some(Form::Raw),
        _ => None,
    }
}

/// No recording starts with `{` or a MessagePack map, and no valid UTF-8 starts like such a map:
/// 0x80–0x8f are continuation bytes, and after 0xde or 0xdf (map 16, map 32) UTF-8 would need
/// 0x80–0xbf, a map of more than 32,767 fields.
fn sniffed(payload: &[u8]) -> Form {
    let first = payload.iter().find(|byte| !byte.is_ascii_whitespace());
    match (payload.first(), first) {
        (_, Some(b'{')) => Form::Json,
        (Some(0x80..=0x8f), _) => Form::MsgPack,
        (Some(0xde | 0xdf), _) if payload.get(1).is_some_and(|byte| *byte < 0x80) => Form::MsgPack,
        _ => Form::Raw,
    }
}

fn json(payload: &[u8]) -> Result<Value, FieldError> {
    serde_json::from_slice(payload).map_err(|error| FieldError::new("payload", error, "one JSON object"))
}

fn msgpack(payload: &[u8]) -> Result<Value, FieldError> {
    let mut rest = payload;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, MAX_DEPTH)
        .map_err(|error| FieldError::new("payload", error, "one MessagePack map"))?;
    if !rest.is_empty() {
        let found = format!("{} bytes after the object", rest.len());
        return Err(FieldError::new("payload", found, "one MessagePack map and nothing after it"));
    }
    Ok(value)
}

fn has_binary(value: &Value) -> bool {
    match value {
        Value::Binary(_) | Value::Ext(..) => true,
        Value::Array(items) => items.iter().any(has_binary),
        Value::Map(pairs) => pairs.iter().any(|(key, value)| has_binary(key) || has_binary(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
