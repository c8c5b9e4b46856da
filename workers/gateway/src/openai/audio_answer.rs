//! What came of a recording, in the forms that these clients ask for.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use shanshui_client::Story;
use shanshui_pipeline::job::JobId;

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::jobs::objects::transcript_key;

/// Largest transcript that is sent.
const MOST: u64 = 64 << 20;

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Verbose,
    Text,
    Srt,
    Vtt,
}

impl Form {
    pub(super) const ALLOWED: &'static str = "json, text, srt, verbose_json or vtt";

    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "verbose_json" => Some(Self::Verbose),
            "text" => Some(Self::Text),
            "srt" => Some(Self::Srt),
            "vtt" => Some(Self::Vtt),
            _ => None,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) form: Form,
    pub(super) streams: bool,
    /// Words with their times.
    pub(super) words: bool,
    /// Segments with their times.
    pub(super) segments: bool,
}

/// The answer for a job that is done.
pub(super) async fn of(gateway: &Gateway, id: &JobId, story: &Story, wanted: Wanted) -> Result<Response, ApiError> {
    match wanted.form {
        Form::Text => Ok(plain(file(gateway, id, "txt").await?, "text/plain; charset=utf-8")),
        Form::Srt => Ok(plain(file(gateway, id, "srt").await?, "text/plain; charset=utf-8")),
        Form::Vtt => Ok(plain(file(gateway, id, "vtt").await?, "text/vtt; charset=utf-8")),
        Form::Json | Form::Verbose => {
            let record = record(gateway, id).await?;
            let text = text(&record, story);
            let language = record["language"].as_str().unwrap_or_default();
            let usage = usage(&record);
            let mut value = json!({ "text": text, "usage": usage });
            if wanted.form == Form::Verbose {
                value["task"] = record["task"].clone();
                value["language"] = (gateway.words.language)(language).unwrap_or(language).into();
                value["duration"] = record["duration"].clone();
                if wanted.segments {
                    value["segments"] = segments(&record).collect();
                }
                if wanted.words {
                    value["words"] = words(&record);
                }
            }
            Ok(answer(StatusCode::OK, &value))
        }
    }
}

/// The record of a transcript.
pub(super) async fn record(gateway: &Gateway, id: &JobId) -> Result<Value, ApiError> {
    let broken = |error| ApiError::away(&anyhow::anyhow!("the transcript of job {id}: {error}"));
    serde_json::from_slice(&file(gateway, id, "json").await?).map_err(broken)
}

pub(super) fn text<'a>(record: &'a Value, story: &'a Story) -> &'a str {
    let told = story.transcript().map_or("", |(text, _)| text);
    record["text"].as_str().unwrap_or(told).trim()
}

pub(super) fn usage(record: &Value) -> Value {
    json!({ "type": "duration", "seconds": record["duration"] })
}

async fn file(gateway: &Gateway, id: &JobId, form: &str) -> Result<Bytes, ApiError> {
    Ok(gateway.store.get(&transcript_key(id, form), MOST).await?)
}

fn segments(record: &Value) -> impl Iterator<Item = Value> {
    let all = record["segments"].as_array().cloned().unwrap_or_default();
    all.into_iter().enumerate().map(|(at, mut segment)| {
        segment["id"] = at.into();
        segment.as_object_mut().map(|fields| fields.remove("words"));
        // Whisper's windows begin at whole hundredths; the segment's own start is the nearest that is kept.
        let start = segment["start"].as_f64().unwrap_or(0.0);
        segment["seek"] = ((start * 100.0).round() as u64).into();
        segment
    })
}

/// The words of all segments.
fn words(record: &Value) -> Value {
    let segments = record["segments"].as_array().into_iter().flatten();
    let words = segments.flat_map(|segment| segment["words"].as_array().into_iter().flatten());
    words.map(|word| json!({ "word": word["text"], "start": word["start"], "end": word["end"] })).collect()
}

fn plain(body: Bytes, media: &'static str) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
