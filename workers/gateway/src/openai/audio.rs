//! `POST /v1/audio/transcriptions` and `/translations`.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use rmpv::Value;
use shanshui_pipeline::fields::FieldError;

use super::audio_answer::{self, Form as Shape, Wanted};
use super::{Watched, audio_stream, models};
use crate::body::Form;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::jobs::parse::{Wish, recorded};
use crate::keys::Caller;

/// Words in the language that was spoken.
pub(crate) async fn transcribe(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    listen(gateway, caller, request, "transcribe").await
}

/// Words in English.
pub(crate) async fn translate(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    listen(gateway, caller, request, "translate").await
}

async fn listen(gateway: Gateway, caller: Caller, request: Request, task: &str) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let form = Form::read(request, &["file"]).await?;
    let pool = models::pool(&gateway, "transcribe", form.text("model")).await?;
    let (wanted, mut fields) = (wanted(&form)?, fields(&gateway, &form, task)?);
    fields.extend(pool.map(|pool| ("whisper".into(), pool.into())));
    let recording = form.file.ok_or_else(|| FieldError::missing("file", "a recording"))?;
    let job = recorded(recording, Value::Map(fields)).map_err(named)?;
    let mut watched = Watched::send(&gateway, &caller, &headers, Wish::Audio(job)).await?;
    if wanted.streams {
        return audio_stream::of(gateway, watched).await;
    }
    let story = watched.result(|_| ()).await?;
    audio_answer::of(&gateway, &watched.id, &story, wanted).await
}

fn wanted(form: &Form) -> Result<Wanted, FieldError> {
    let format = form.text("response_format").unwrap_or("json");
    let shape = Shape::of(format).ok_or_else(|| FieldError::new("response_format", format, Shape::ALLOWED))?;
    let granularities: Vec<&str> =
        ["timestamp_granularities[]", "timestamp_granularities"].into_iter().flat_map(|name| form.all(name)).collect();
    if let Some(unknown) = granularities.iter().find(|name| !["word", "segment"].contains(name)) {
        return Err(FieldError::new("timestamp_granularities", *unknown, "word or segment"));
    }
    Ok(Wanted {
        form: shape,
        // Subtitles come as one file.
        streams: streams(form.text("stream"))? && matches!(shape, Shape::Json | Shape::Verbose),
        words: granularities.contains(&"word"),
        segments: granularities.is_empty() || granularities.contains(&"segment"),
    })
}

/// A form has no truth but in words: those of JSON, and those of Python.
fn streams(text: Option<&str>) -> Result<bool, FieldError> {
    match text {
        None | Some("" | "false" | "False" | "0") => Ok(false),
        Some("true" | "True" | "1") => Ok(true),
        Some(other) => Err(FieldError::new("stream", other, "true or false")),
    }
}

/// Those of the job.
fn fields(gateway: &Gateway, form: &Form, task: &str) -> Result<Vec<(Value, Value)>, ApiError> {
    let mut fields: Vec<(Value, Value)> = vec![("task".into(), task.into()), ("until".into(), "transcribe".into())];
    let languages = [form.text("language"), form.all("languages[]").next(), form.all("languages").next()];
    if let Some(language) = languages.into_iter().flatten().find(|language| !language.is_empty()) {
        let known = (gateway.words.language)(language);
        let language = known.ok_or_else(|| FieldError::new("language", language, "a language of Whisper's"))?;
        fields.push(("language".into(), language.into()));
    }
    let keywords: Vec<&str> = form.text("prompt").into_iter().chain(form.all("keywords[]")).collect();
    if !keywords.is_empty() {
        fields.push(("hint".into(), keywords.join(", ").into()));
    }
    Ok(fields)
}

/// These clients know the recording as `file`.
fn named(error: FieldError) -> FieldError {
    if error.field == "audio" { FieldError { field: "file".into(), ..error } } else { error }
}
