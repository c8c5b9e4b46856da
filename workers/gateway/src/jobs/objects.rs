//! Pictures and transcripts, passed on from the bucket as they come.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::Stream;
use shanshui_client::{Picture, Story};
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::store::{ObjectKey, Reading};

use super::document;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::links;

/// Forms of a transcript.
const FORMS: [&str; 4] = ["json", "txt", "srt", "vtt"];

/// One object of a job.
struct Wanted<'a> {
    key: &'a str,
    file_name: String,
    sha256: Option<&'a str>,
}

/// `GET /v1/jobs/{id}/pictures/{index}`
pub(crate) async fn picture(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, index)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (id, picture) = find(&gateway, &caller, &id, &index).await?;
    let name = picture.key.rsplit('/').next().unwrap_or_default();
    let wanted = Wanted { key: &picture.key, file_name: format!("{id}-{name}"), sha256: Some(&picture.sha256) };
    let mut response = stream(&gateway, wanted, &headers).await?;
    if caller == Caller::guest() {
        // A link is for pages of other sites as well.
        response.headers_mut().insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
    Ok(response)
}

/// A picture of a job that the caller may know.
pub(crate) async fn find(
    gateway: &Gateway,
    caller: &Caller,
    id: &str,
    index: &str,
) -> Result<(JobId, Picture), ApiError> {
    let id = document::parse(id)?;
    let story = document::story(gateway, caller, &id).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
    let picture = pictures(&id, &story).into_iter().find(|picture| picture.index.to_string() == index);
    let picture = picture.ok_or_else(|| ApiError::missing(format!("job {id} has no such picture")).about("index"))?;
    Ok((id, picture))
}

/// The address of a picture on this gateway: a link that needs no key, if the gateway can sign one.
pub(crate) fn address(gateway: &Gateway, site: &str, id: &JobId, index: u32) -> String {
    match &gateway.options.gateway_secret {
        Some(secret) => format!("{site}{}", links::signed(secret, id, index)),
        None => format!("{site}/v1/jobs/{id}/pictures/{index}"),
    }
}

/// The pictures of a job: only what lies in its own folder, because an event could name any key.
pub(crate) fn pictures(id: &JobId, story: &Story) -> Vec<Picture> {
    let own = format!("jobs/{id}/");
    let mut all = story.pictures();
    all.retain(|picture| picture.key.strip_prefix(&own).is_some_and(|name| !name.contains('/')));
    all
}

/// All bytes of a picture out of [`pictures`], at most `most`: those that the job made.
pub(crate) async fn bytes(gateway: &Gateway, picture: &Picture, most: u64) -> Result<Bytes, ApiError> {
    let bytes = gateway.store.get(&picture.key, most).await?;
    if sha256_hex(&bytes) == picture.sha256 { Ok(bytes) } else { Err(wrong(&picture.key)) }
}

fn wrong(key: &str) -> ApiError {
    let message = format!("{key} is not the object that the job made");
    ApiError::new(StatusCode::BAD_GATEWAY, "wrong-object", message)
}

/// `GET /v1/jobs/{id}/transcript.{form}`; the router gives the whole last part of the path.
pub(crate) async fn transcript(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = document::parse(&id)?;
    let form = name.strip_prefix("transcript.").filter(|form| FORMS.contains(form));
    let form = form.ok_or_else(|| ApiError::missing("a job has transcript.json, .txt, .srt and .vtt"))?;
    document::story(&gateway, &caller, &id).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
    let key = transcript_key(&id, form);
    let wanted = Wanted { key: &key, file_name: format!("{id}-transcript.{form}"), sha256: None };
    stream(&gateway, wanted, &headers).await
}

/// Key of a transcript in one of its forms.
pub(crate) fn transcript_key(id: &JobId, form: &str) -> String {
    ObjectKey::File { job: id, name: &format!("transcript.{form}") }.path()
}

async fn stream(gateway: &Gateway, wanted: Wanted<'_>, headers: &HeaderMap) -> Result<Response, ApiError> {
    let tag = |sha256: &str| HeaderValue::from_str(&format!("\"{sha256}\"")).ok();
    let known = |tag: &HeaderValue| headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    if wanted.sha256.and_then(tag).is_some_and(|tag| known(&tag)) {
        return Ok(unchanged());
    }
    let reading = open(gateway, wanted.key, wanted.sha256).await?;
    let tag = reading.sha256.as_deref().or(wanted.sha256).and_then(tag);
    if tag.as_ref().is_some_and(known) {
        return Ok(unchanged());
    }
    let mut response = Response::new(Body::from_stream(reading.pieces));
    let set = response.headers_mut();
    set.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(wanted.key)));
    set.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    set.insert(VARY, HeaderValue::from_static("Authorization"));
    if let Some(length) = reading.length {
        set.insert(CONTENT_LENGTH, length.into());
    }
    if let Ok(name) = HeaderValue::from_str(&format!("inline; filename=\"{}\"", wanted.file_name)) {
        set.insert(CONTENT_DISPOSITION, name);
    }
    if let Some(tag) = tag {
        set.insert(ETAG, tag);
    }
    Ok(response)
}

/// An object, which must be the one with this SHA-256 if that is known.
pub(crate) async fn open(
    gateway: &Gateway,
    key: &str,
    sha256: Option<&str>,
) -> Result<Reading<impl Stream<Item = anyhow::Result<Bytes>> + Send + use<>>, ApiError> {
    let reading = gateway.store.read(key).await?;
    match (sha256, &reading.sha256) {
        (Some(told), Some(noted)) if told != noted => Err(wrong(key)),
        _ => Ok(reading),
    }
}

fn unchanged() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// The type of an object by the end of its key; never one that a browser runs.
pub(crate) fn media_type(key: &str) -> &'static str {
    match key.rsplit('.').next().unwrap_or_default() {
        "png" => "image/png",
        "jpg" => "image/jpeg",
        "webp" => "image/webp",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "srt" => "application/x-subrip; charset=utf-8",
        "vtt" => "text/vtt; charset=utf-8",
        _ => "application/octet-stream",
    }
}
