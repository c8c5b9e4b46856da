//! `POST /v1/jobs`

use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::http::header::{HeaderName, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shanshui_client::SubmitError;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId};
use shanshui_pipeline::queue::{Submitted, Wait};
use shanshui_pipeline::{Code, Failure, Job, causes};

use super::document;
use super::parse::{self, Wish};
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::site::site;
use crate::wait;
use crate::webhooks::Hook;

/// What makes a request that is sent again the same one.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest wait that a caller may ask for, in seconds.
const MAX_WAIT: u64 = 600;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// Lane of the queue, for callers whose key has none.
    lane: Option<String>,
    /// The webhook of a recording or text that has no fields.
    webhook: Option<String>,
}

/// A job that the queue has.
pub(crate) struct Sent {
    pub(crate) id: JobId,
    pub(crate) submitted: Submitted,
    wait: Option<Wait>,
}

/// Takes a job, and waits for its end as long as the caller wants.
pub(crate) async fn submit(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let patience = patience(&headers)?;
    let lane = lane(&caller, wanted.lane)?;
    may_send(&gateway, &caller)?;
    let _seat = patience.map(|_| wait::seat(&gateway, &caller)).transpose()?;
    let wish = parse::wish(&gateway, &caller, request).await?;
    let sent = take(&gateway, &caller, &headers, (lane, wanted.webhook), wish).await?;
    if let Some(patience) = patience
        && let Ok(Some(story)) = wait::end(&gateway, (&sent.id, sent.submitted.sequence), Some(patience), |_| ()).await
    {
        wait::result(&story).map_err(|error| error.of(&sent.id))?;
        let document = document::of(&gateway, &caller, &sent.id, &story).await;
        return Ok(located(answer(StatusCode::OK, &document), &sent.id));
    }
    let may_be_further = patience.is_some() || is_named(&headers);
    let told = told(&gateway, &caller, &sent, may_be_further).await;
    Ok(located(answer(StatusCode::ACCEPTED, &told), &sent.id))
}

/// Puts a job on its queue, under the name that the headers give it, in the lane and with the webhook
/// that its sender wants.
pub(crate) async fn take(
    gateway: &Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    (lane, webhook): (String, Option<String>),
    mut wish: Wish,
) -> Result<Sent, ApiError> {
    name(&mut wish, caller, headers)?;
    let hook = Hook::of(gateway, caller, (&lane, &site(headers)), wish.meta_mut(), webhook)?;
    send(gateway, &lane, wish, hook.as_ref()).await.map_err(|error| refusal(headers, error))
}

/// What is known of a job that is on its queue, or was sent before.
pub(crate) async fn told(gateway: &Gateway, caller: &Caller, sent: &Sent, may_be_further: bool) -> Value {
    let mut told = accepted(sent);
    let may_be_further = may_be_further || sent.submitted.duplicate;
    // The job is on its queue: that its state cannot be read now takes nothing from that.
    if may_be_further && let Ok(Some(story)) = document::story(gateway, caller, &sent.id).await {
        told["state"] = document::state(&story).into();
        if told["state"] != "queued" {
            ["place", "estimate_seconds", "workers"].into_iter().for_each(|name| told[name] = Value::Null);
        }
    }
    told
}

/// Whether a request that is sent again is the same job.
pub(crate) fn is_named(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}

/// A refusal in the words of the request: its sender may not know the name of the job.
pub(crate) fn refusal(headers: &HeaderMap, error: ApiError) -> ApiError {
    if is_named(headers) { error.of_key() } else { error }
}

/// Whether the caller may send one more job now.
pub(crate) fn may_send(gateway: &Gateway, caller: &Caller) -> Result<(), ApiError> {
    gateway.rate.take(&caller.name, Instant::now()).map_err(|seconds| {
        let limit = gateway.options.jobs_per_minute;
        let message = format!("more than {limit} jobs a minute");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate-limit", message).after(seconds)
    })
}

/// The lane of a caller's jobs.
pub(crate) fn lane(caller: &Caller, wanted: Option<String>) -> Result<String, ApiError> {
    match (&caller.lane, wanted) {
        (Some(own), Some(other)) if *own != other => {
            Err(FieldError::new("lane", other, format!("{own}, the lane of this API key")).into())
        }
        (Some(own), _) => Ok(own.clone()),
        (None, wanted) => Ok(wanted.unwrap_or_else(|| "default".to_owned())),
    }
}

/// Puts a job on its queue, a large recording into the bucket before.
pub(crate) async fn send(gateway: &Gateway, lane: &str, wish: Wish, hook: Option<&Hook>) -> Result<Sent, ApiError> {
    let (id, submitted, queue) = match wish {
        Wish::Audio(mut job) => {
            stow(gateway, &mut job).await?;
            queued(gateway, lane, job, hook).await?
        }
        Wish::Text(job) => queued(gateway, lane, job, hook).await?,
    };
    let wait = if submitted.duplicate { None } else { announce(gateway, &id, queue, &submitted).await? };
    Ok(Sent { id, submitted, wait })
}

async fn queued<J: Job>(
    gateway: &Gateway,
    lane: &str,
    mut job: J,
    hook: Option<&Hook>,
) -> Result<(JobId, Submitted, &'static str), ApiError> {
    if let Some(hook) = hook {
        let id = shanshui_client::name(&mut job);
        // Before anything is kept for the job of somebody else.
        shanshui_client::check_name(&gateway.queue, &id, &job).await?;
        hook.keep(gateway, &id).await?;
    }
    let submitted = shanshui_client::submit(&gateway.queue, lane, &mut job).await?;
    Ok((shanshui_client::name(&mut job), submitted, J::QUEUE))
}

async fn stow(gateway: &Gateway, job: &mut AudioJob) -> Result<(), ApiError> {
    if shanshui_client::fits(&gateway.queue, job) {
        return Ok(());
    }
    let step = gateway.queue.steps().iter().find(|step| step.queue == AudioJob::QUEUE);
    if let Some(step) = step
        && !gateway.queue.has_room(step).await.map_err(|error| ApiError::away(&error))?
    {
        return Err(ApiError::queue_full(format!("the queue of {} is full", step.stage)));
    }
    let AudioSource::Inline(recording) = &job.audio else { return Ok(()) };
    let (recording, named) = (recording.clone(), job.meta.id.is_some());
    let id = shanshui_client::name(job);
    if named {
        // Before anything lies in the bucket under the name of another job.
        job.audio = shanshui_client::stored(&id, &recording);
        shanshui_client::check_name(&gateway.queue, &id, job).await?;
    }
    job.audio = shanshui_client::upload(&gateway.store, &id, recording).await.map_err(|failure| match failure {
        Failure::Reject(error) => {
            ApiError::new(StatusCode::CONFLICT, Code::NameUsed.as_str(), error.to_string()).about("id")
        }
        other => other.into(),
    })?;
    Ok(())
}

/// Says on the stream of events where the job waits: from now on everybody knows the job and its lane,
/// before a worker has seen it. A job is accepted without that, too. Where another request was quicker
/// with another job under this name, this one is refused.
async fn announce(gateway: &Gateway, id: &JobId, queue: &str, submitted: &Submitted) -> Result<Option<Wait>, ApiError> {
    let step = gateway.queue.steps().iter().find(|step| step.queue == queue);
    let Some(step) = step else { return Ok(None) };
    let Ok(Some(wait)) = gateway.queue.wait_of(step, submitted.sequence).await else { return Ok(None) };
    match gateway.events.publish_first(id, &wait.event(&submitted.digest)).await {
        Ok(true) => {}
        Ok(false) => {
            let own = shanshui_client::check_digest(&gateway.queue, id, &submitted.digest).await;
            if let Err(error @ SubmitError::NameUsed(_)) = own {
                return Err(error.into());
            }
        }
        Err(failure) => tracing::debug!(job = %id, %failure, "cannot tell where a job waits"),
    }
    Ok(Some(wait))
}

/// A job gets its name from the key that makes a request the same one when it is sent again.
pub(crate) fn name(wish: &mut Wish, caller: &Caller, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(()) };
    let meta = wish.meta_mut();
    if meta.id.is_some() {
        return Err(FieldError::new("id", "(given, and Idempotency-Key as well)", "one of the two").into());
    }
    if key.is_empty() {
        return Err(FieldError::new("Idempotency-Key", "(empty)", "at least one character").into());
    }
    meta.id = Some(JobId::parse("Idempotency-Key", &caller.sealed(key.as_bytes())[..32])?);
    Ok(())
}

/// `Prefer: wait=N` (RFC 7240).
fn patience(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let prefer = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let pairs = prefer.flat_map(|value| value.split([',', ';'])).filter_map(|wish| wish.split_once('='));
    let mut waits = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
    let wait = waits.next().map(|(_, wait)| wait.trim());
    let Some(wait) = wait else { return Ok(None) };
    let seconds = wait.trim_matches('"').parse().ok().filter(|seconds| (0..=MAX_WAIT).contains(seconds));
    let allowed = format!("wait=N with a whole number of seconds up to {MAX_WAIT}, or respond-async");
    match seconds {
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => Err(FieldError::new("Prefer", wait, allowed).into()),
    }
}

fn accepted(sent: &Sent) -> Value {
    let wait = sent.wait.as_ref();
    json!({
        "id": sent.id.as_str(),
        "state": "queued",
        "place": wait.map(|wait| wait.place),
        "estimate_seconds": wait.and_then(|wait| wait.seconds),
        "workers": wait.map(|wait| wait.pool.workers()),
        "links": document::links(&sent.id),
    })
}

fn located(mut response: Response, id: &JobId) -> Response {
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/jobs/{id}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response.into_response()
}

/// Only for the log: what cannot be told to the caller any more.
pub(crate) fn forgotten(id: &JobId, error: &anyhow::Error) {
    tracing::warn!(job = %id, error = causes(error), "cannot follow a job");
}
