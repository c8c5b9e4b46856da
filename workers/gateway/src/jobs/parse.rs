//! From a request to a job.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use rmpv::Value;
use shanshui_client::check_until;
use shanshui_pipeline::fields::{FieldError, Fields};
use shanshui_pipeline::job::{AudioJob, AudioSource, JobMeta, TextJob};
use shanshui_pipeline::{Job, Step};

use crate::body::{self, Form, bad, whole};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::room::{Full, Place};

/// A job of one of the kinds that come from outside.
#[derive(Debug)]
pub(crate) enum Wish {
    Audio(AudioJob),
    Text(TextJob),
}

/// What a request may hold.
const ALLOWED: &str = "multipart/form-data with a part `audio`, a recording (audio/*), application/json, or text/plain";

/// Reads the job of a request.
pub(crate) async fn wish(gateway: &Gateway, caller: &Caller, request: Request) -> Result<Wish, ApiError> {
    let place = body::place(&request);
    let media = request.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut wish = match media.as_str() {
        "multipart/form-data" => form(Form::read(request, &["audio", "file"]).await?)?,
        "application/json" => object(json(&body::json(request).await?)?)?,
        "text/plain" => Wish::Text(TextJob::from_raw(whole(request).await?)?),
        media if is_recording(media) => Wish::Audio(AudioJob::from_raw(whole(request).await?)?),
        media => return Err(unsupported(media)),
    };
    wish.hold(gateway, place)?;
    wish.checked(gateway.queue.steps(), caller)
}

impl Wish {
    /// What every job carries.
    pub(crate) fn meta_mut(&mut self) -> &mut JobMeta {
        match self {
            Self::Audio(job) => &mut job.meta,
            Self::Text(job) => &mut job.meta,
        }
    }

    /// Counts its recording among what is held, as long as somebody has it.
    pub(crate) fn hold(&mut self, gateway: &Gateway, place: Option<Arc<Place>>) -> Result<(), ApiError> {
        let Self::Audio(AudioJob { audio: AudioSource::Inline(recording), .. }) = self else { return Ok(()) };
        *recording = body::kept(place.as_ref(), std::mem::take(recording));
        // A message of its own holds what fits into one.
        if let Some(place) = place.filter(|_| recording.len() <= gateway.queue.max_payload()) {
            place.grow(recording.len()).map_err(|Full| body::busy())?;
        }
        Ok(())
    }

    /// The job, if this sender may have it done.
    pub(crate) fn checked(self, steps: &[Step], caller: &Caller) -> Result<Self, ApiError> {
        let made = match &self {
            Self::Audio(job) => check_until(steps, job).map(|()| !job.meta.made.is_empty()),
            Self::Text(job) => check_until(steps, job).map(|()| !job.meta.made.is_empty()),
        };
        if made? {
            return Err(FieldError::new("made", "(given)", "nothing; only the pipeline writes it").into());
        }
        if caller.lane.is_some() {
            self.check_bound()?;
        }
        Ok(self)
    }

    /// Lanes share one bucket and the names of jobs: whoever is bound to one could name what is another's.
    fn check_bound(&self) -> Result<(), FieldError> {
        let meta = match self {
            Self::Audio(AudioJob { audio: AudioSource::Stored { key, .. }, .. }) => {
                let allowed = "a recording in the request, where the API key has a lane";
                return Err(FieldError::new("audio.key", key, allowed));
            }
            Self::Audio(job) => &job.meta,
            Self::Text(job) => &job.meta,
        };
        match &meta.id {
            Some(id) => Err(FieldError::new("id", id, "none where the API key has a lane; send Idempotency-Key")),
            None => Ok(()),
        }
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
    // In place of the recording, which is not copied: its fields are read without it.
    let audio = Value::Map(vec![("bytes".into(), Value::Binary(vec![0]))]);
    pairs.push(("audio".into(), audio));
    let mut job = AudioJob::from_fields(Fields::new("", Value::Map(pairs))?)?;
    job.audio = AudioSource::Inline(recording);
    Ok(job)
}

/// The job of an object as the contract has it.
pub(crate) fn object(value: Value) -> Result<Wish, ApiError> {
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
