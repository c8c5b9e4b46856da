//! From a request to a job.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use rmpv::Value;
use shanshui_client::check_until;
use shanshui_pipeline::fields::{FieldError, Fields};
use shanshui_pipeline::job::{AudioJob, TextJob};
use shanshui_pipeline::{Job, Step};

use crate::body::{Form, bad, whole};
use crate::error::ApiError;

/// A job of one of the kinds that come from outside.
#[derive(Debug)]
pub(crate) enum Wish {
    Audio(AudioJob),
    Text(TextJob),
}

/// What a request may hold.
const ALLOWED: &str = "multipart/form-data with a part `audio`, a recording (audio/*), application/json, or text/plain";

/// Reads the job of a request.
pub(crate) async fn wish(steps: &[Step], request: Request) -> Result<Wish, ApiError> {
    let media = request.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let wish = match media.as_str() {
        "multipart/form-data" => form(Form::read(request, &["audio", "file"]).await?)?,
        "application/json" => object(json(&whole(request.into_body()).await?)?)?,
        "text/plain" => Wish::Text(TextJob::from_raw(whole(request.into_body()).await?)?),
        media if is_recording(media) => Wish::Audio(AudioJob::from_raw(whole(request.into_body()).await?)?),
        media => return Err(unsupported(media)),
    };
    wish.checked(steps)
}

impl Wish {
    /// The job, if a sender may have it done.
    pub(crate) fn checked(self, steps: &[Step]) -> Result<Self, ApiError> {
        let made = match &self {
            Self::Audio(job) => check_until(steps, job).map(|()| !job.meta.made.is_empty()),
            Self::Text(job) => check_until(steps, job).map(|()| !job.meta.made.is_empty()),
        };
        if made? {
            return Err(FieldError::new("made", "(given)", "nothing; only the pipeline writes it").into());
        }
        Ok(self)
    }
}

fn is_recording(media: &str) -> bool {
    let other = ["application/ogg", "application/octet-stream"];
    media.starts_with("audio/") || media.starts_with("video/") || other.contains(&media)
}

fn unsupported(media: &str) -> ApiError {
    let found = if media.is_empty() { "(missing)" } else { media };
    let error = FieldError::new("Content-Type", found, ALLOWED);
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", error.to_string()).about("Content-Type")
}

fn form(form: Form) -> Result<Wish, ApiError> {
    let fields = form.text("job").map(|text| json(text.as_bytes())).transpose()?;
    let fields = fields.unwrap_or_else(|| Value::Map(Vec::new()));
    match form.file {
        Some(recording) => Ok(Wish::Audio(recorded(recording, fields)?)),
        None => object(fields),
    }
}

/// The audio job of a recording and its other fields.
pub(crate) fn recorded(recording: Bytes, fields: Value) -> Result<AudioJob, FieldError> {
    if recording.is_empty() {
        return Err(FieldError::new("audio", "(0 bytes)", "a recording of at least one byte"));
    }
    let Value::Map(mut pairs) = fields else { return Err(FieldError::new("job", fields, "an object")) };
    let audio = Value::Map(vec![("bytes".into(), Value::Binary(recording.to_vec()))]);
    pairs.push(("audio".into(), audio));
    AudioJob::from_fields(Fields::new("", Value::Map(pairs))?)
}

fn object(value: Value) -> Result<Wish, ApiError> {
    let has =
        |name: &str| matches!(&value, Value::Map(pairs) if pairs.iter().any(|(key, _)| key.as_str() == Some(name)));
    match (has("audio"), has("text")) {
        (true, true) => Err(FieldError::new("text", "(given, and audio as well)", "one of the two").into()),
        (true, false) => Ok(Wish::Audio(AudioJob::from_fields(Fields::new("", value)?)?)),
        (false, true) => Ok(Wish::Text(TextJob::from_fields(Fields::new("", value)?)?)),
        (false, false) => {
            // What is no object at all says so.
            Fields::new("", value)?;
            Err(FieldError::missing("audio", "a recording in `audio`, or a text in `text`").into())
        }
    }
}

/// Any JSON value.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| bad(FieldError::new("body", error, "one JSON object").to_string()))
}
