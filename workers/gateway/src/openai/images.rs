//! `POST /v1/images/generations`

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rmpv::Value as Field;
use serde_json::{Map, Value, json};
use shanshui_client::{Picture, Story};
use shanshui_pipeline::Job;
use shanshui_pipeline::fields::{FieldError, Fields};
use shanshui_pipeline::job::{JobId, TextJob};
use time::OffsetDateTime;

use super::{Watched, images_stream, models};
use crate::body::{bad, json as json_body};
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::jobs::objects;
use crate::jobs::parse::Wish;
use crate::keys::Caller;
use crate::site::site;

/// Largest picture that is sent inside JSON.
const MOST: u64 = 64 << 20;
/// Fields of ours that a client may add at the top level (`extra_body` of the SDK).
const OWN: [(&str, &str); 6] = [
    ("seed", "seed"),
    ("steps", "steps"),
    ("guidance", "guidance"),
    ("negative_prompt", "negative"),
    ("sampler", "sampler"),
    ("syntax", "syntax"),
];

/// What pictures go back as.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) as_url: bool,
    /// `http://host` of this gateway, as the client reached it.
    site: String,
    pub(super) format: String,
    pub(super) size: String,
    /// Coarse pictures that a stream shows on the way, at most.
    pub(super) partial: u64,
}

/// Paints, and answers with the pictures or with addresses of them.
pub(crate) async fn generate(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let body = json_body(request).await?;
    let wanted: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| bad(FieldError::new("body", error, "one JSON object").to_string()))?;
    let pool = models::pool(&gateway, "paint", wanted.get("model").and_then(Value::as_str)).await?;
    let (job, shape, streams) = (job(&wanted, pool)?, shape(&wanted, &headers)?, streams(&wanted)?);
    let mut watched = Watched::send(&gateway, &caller, &headers, Wish::Text(job)).await?;
    if streams {
        return Ok(images_stream::of(gateway, watched, shape));
    }
    let story = watched.result(|_| ()).await?;
    Ok(answer(StatusCode::OK, &finished(&gateway, &watched.id, &story, &shape).await?))
}

fn streams(wanted: &Map<String, Value>) -> Result<bool, FieldError> {
    match wanted.get("stream") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(streams)) => Ok(*streams),
        Some(other) => Err(FieldError::new("stream", other, "true or false")),
    }
}

fn job(wanted: &Map<String, Value>, pool: Option<String>) -> Result<TextJob, ApiError> {
    let mut picture: Vec<(Field, Field)> = vec![("count".into(), 1.into())];
    let mut put = |name: &str, value: Field| {
        picture.retain(|(known, _)| known.as_str() != Some(name));
        picture.push((name.into(), value));
    };
    if let Some(pool) = pool {
        put("model", pool.into());
    }
    if let Some(count) = wanted.get("n").filter(|count| !count.is_null()) {
        put("count", field(count));
    }
    if let Some((width, height)) = size(wanted)? {
        put("width", width.into());
        put("height", height.into());
    }
    if let Some(format) = wanted.get("output_format").and_then(Value::as_str) {
        put("format", format.into());
    }
    for (theirs, ours) in OWN {
        if let Some(value) = wanted.get(theirs).filter(|value| !value.is_null()) {
            put(ours, field(value));
        }
    }
    let text = wanted.get("prompt").map(field).unwrap_or(Field::Nil);
    let fields = Field::Map(vec![("text".into(), text), ("picture".into(), Field::Map(picture))]);
    Ok(TextJob::from_fields(Fields::new("", fields)?).map_err(theirs)?)
}

/// An error about a field is told under the name that these clients have for it.
fn theirs(error: FieldError) -> FieldError {
    let name = match error.field.as_str() {
        "text" => "prompt",
        "picture.count" => "n",
        "picture.width" | "picture.height" => "size",
        "picture.format" => "output_format",
        "picture.negative" => "negative_prompt",
        other => other.strip_prefix("picture.").unwrap_or(other),
    };
    FieldError { field: name.to_owned(), ..error }
}

fn field(value: &Value) -> Field {
    serde_json::from_value(value.clone()).unwrap_or(Field::Nil)
}

fn size(wanted: &Map<String, Value>) -> Result<Option<(u64, u64)>, FieldError> {
    let Some(value) = wanted.get("size").filter(|size| !size.is_null() && *size != "auto") else { return Ok(None) };
    let parsed = value.as_str().and_then(|size| size.split_once('x'));
    let parsed = parsed.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    parsed.map(Some).ok_or_else(|| FieldError::new("size", value, "WIDTHxHEIGHT in pixels, or auto"))
}

fn shape(wanted: &Map<String, Value>, headers: &HeaderMap) -> Result<Shape, ApiError> {
    let text = |name: &str| wanted.get(name).and_then(Value::as_str);
    let as_url = match text("response_format") {
        None | Some("b64_json") => false,
        Some("url") => true,
        Some(other) => return Err(FieldError::new("response_format", other, "url or b64_json").into()),
    };
    let partial = wanted.get("partial_images").and_then(Value::as_u64).unwrap_or(0).min(3);
    let format = text("output_format").unwrap_or("png").to_owned();
    let size = text("size").unwrap_or("auto").to_owned();
    Ok(Shape { as_url, site: site(headers), format, size, partial })
}

async fn finished(gateway: &Gateway, id: &JobId, story: &Story, shape: &Shape) -> Result<Value, ApiError> {
    let mut data = Vec::new();
    let pictures = objects::pictures(id, story);
    for picture in &pictures {
        data.push(one(gateway, id, picture, shape).await?);
    }
    let size = pictures.first().map_or(shape.size.clone(), |first| format!("{}x{}", first.size.0, first.size.1));
    let created = OffsetDateTime::now_utc().unix_timestamp();
    Ok(json!({
        "created": created, "data": data, "output_format": shape.format, "size": size, "usage": usage(pictures.len()),
    }))
}

async fn one(gateway: &Gateway, id: &JobId, picture: &Picture, shape: &Shape) -> Result<Value, ApiError> {
    if shape.as_url {
        return Ok(json!({ "url": objects::address(gateway, &shape.site, id, picture.index) }));
    }
    Ok(json!({ "b64_json": encoded(gateway, picture).await? }))
}

/// A picture as base64.
pub(crate) async fn encoded(gateway: &Gateway, picture: &Picture) -> Result<String, ApiError> {
    Ok(BASE64_STANDARD.encode(objects::bytes(gateway, picture, MOST).await?))
}

/// These clients count tokens, and pictures of ours have none.
pub(super) fn usage(pictures: usize) -> Value {
    json!({
        "input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "pictures": pictures,
        "input_tokens_details": { "image_tokens": 0, "text_tokens": 0 },
    })
}
