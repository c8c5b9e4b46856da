//! What came of a recording, in the forms that these clients ask for.

use std::convert::Infallible;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
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
            let record: Value = serde_json::from_slice(&file(gateway, id, "json").await?)
                .map_err(|error| ApiError::away(&anyhow::anyhow!("the transcript of job {id}: {error}")))?;
            let told = story.transcript().map_or("", |(text, _)| text);
            let text = record["text"].as_str().unwrap_or(told).trim();
            let language = record["language"].as_str().unwrap_or_default();
            let usage = json!({ "type": "duration", "seconds": record["duration"] });
            if wanted.streams {
                return Ok(streamed(&record, text, &usage));
            }
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

/// The words one segment after the other, as Server-Sent Events.
fn streamed(record: &Value, text: &str, usage: &Value) -> Response {
    let pieces = segments(record).enumerate().map(|(at, segment)| {
        let words = segment["text"].as_str().unwrap_or_default().trim();
        let words = if at == 0 { words.to_owned() } else { format!(" {words}") };
        json!({ "type": "transcript.text.delta", "delta": words }).to_string()
    });
    let done = json!({ "type": "transcript.text.done", "text": text, "usage": usage }).to_string();
    let all: Vec<String> = pieces.chain([done, "[DONE]".to_owned()]).collect();
    let events = all.into_iter().map(|data| Ok::<_, Infallible>(Event::default().data(data)));
    Sse::new(stream::iter(events)).into_response()
}

fn plain(body: Bytes, media: &'static str) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
