//! `GET /v1/jobs/{id}`: all that is known of a job.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use shanshui_client::{Picture, Story};
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Wait;
use shanshui_pipeline::store::ObjectKey;
use shanshui_pipeline::{Code, Event, Step, reconcile};

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;

/// Largest receipt that is read.
const RECEIPT: u64 = 4 << 20;
/// Longest wait for a receipt.
const READ: Duration = Duration::from_secs(2);
/// Longest search for a job in the queues, and for the place of one that is known.
const SEARCH: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1)];

/// Answers with the job's document.
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    match find(&gateway, &caller, &id).await? {
        Some(document) => Ok(answer(StatusCode::OK, &document)),
        None => Err(ApiError::unknown_job(&id)),
    }
}

/// The name in a path. One that cannot be a job's is nobody's.
pub(crate) fn parse(id: &str) -> Result<JobId, ApiError> {
    JobId::parse("id", id)
        .map_err(|_| ApiError::unknown_job(shanshui_pipeline::fields::FieldError::new("id", id, "").value))
}

/// The document of a job, if the caller may know it.
pub(crate) async fn find(gateway: &Gateway, caller: &Caller, id: &JobId) -> Result<Option<Value>, ApiError> {
    let Some(story) = story(gateway, caller, id).await? else { return Ok(None) };
    Ok(Some(of(gateway, caller, id, &story).await))
}

/// The events of a job, if the caller may know it and somebody does.
pub(crate) async fn story(gateway: &Gateway, caller: &Caller, id: &JobId) -> Result<Option<Story>, ApiError> {
    let events = gateway.queue.history(id).await.map_err(|error| ApiError::away(&error))?;
    let story = Story { events, ..Story::default() };
    let known = match &caller.lane {
        // Whoever has a lane of its own sees nothing of other lanes.
        Some(own) if story.lanes().any(|lane| lane != own) => false,
        Some(_) if story.lanes().next().is_some() => true,
        None if !story.events.is_empty() => true,
        // A job that came without a gateway waits in its queue, and nobody has told of it, or not its lane.
        lane => waiting(gateway, caller, id, SEARCH[0])
            .await?
            .is_some_and(|wait| lane.as_ref().is_none_or(|own| wait.lane == *own)),
    };
    Ok(known.then_some(story))
}

/// Where a job waits: every message of the queues is read for it, so only one request looks at a time,
/// and few of one caller wait for their turn.
async fn waiting(gateway: &Gateway, caller: &Caller, id: &JobId, time: Duration) -> Result<Option<Wait>, ApiError> {
    let busy = || {
        let message = "too many jobs are looked for at this moment; it is not known whether there is this one";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).after(2)
    };
    let _seat = gateway.searches.take(&caller.name).ok_or_else(busy)?;
    let looking = async {
        let _alone = gateway.looking.lock().await;
        reconcile::waiting(&gateway.queue, id).await
    };
    let found = tokio::time::timeout(time, looking).await.map_err(|_| busy())?;
    found.map_err(|error| ApiError::away(&error))
}

/// Every job that lies in a queue, as far as that is found out within a second.
pub(crate) async fn lying(gateway: &Gateway, caller: &Caller) -> HashMap<JobId, (&'static Step, u64)> {
    let Some(_seat) = gateway.searches.take(&caller.name) else { return HashMap::new() };
    let looking = async {
        let _alone = gateway.looking.lock().await;
        reconcile::lying(&gateway.queue).await
    };
    let found = tokio::time::timeout(SEARCH[1], looking).await;
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// The document of a job with these events.
pub(crate) async fn of(gateway: &Gateway, caller: &Caller, id: &JobId, story: &Story) -> Value {
    let mut document = from_events(id, story);
    match story.end() {
        None if state(story) == "queued" => {
            // The document is worth something without its place.
            let waiting = waiting(gateway, caller, id, SEARCH[1]).await.ok().flatten();
            document["place"] = waiting.as_ref().map(|wait| wait.place).into();
            document["estimate_seconds"] = waiting.as_ref().and_then(|wait| wait.seconds).into();
            document["workers"] = waiting.as_ref().map(|wait| wait.pool.workers()).into();
        }
        Some(Event::Done { .. }) => {
            // The document is worth something without its receipt.
            let path = ObjectKey::Receipt(id).path();
            let receipt = tokio::time::timeout(READ, gateway.store.get(&path, RECEIPT)).await;
            let receipt = receipt.ok().and_then(Result::ok);
            let receipt = receipt.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            document["receipt"] = receipt.unwrap_or_default();
        }
        _ => {}
    }
    document
}

/// What the events tell.
pub(crate) fn from_events(id: &JobId, story: &Story) -> Value {
    let transcript = story.transcript().map(|(text, language)| {
        let url = format!("/v1/jobs/{id}/transcript.json");
        json!({ "text": text, "language": language, "url": url })
    });
    let stages = story.stages().into_iter().map(|stage| {
        let (wait, work) = (stage.wait, stage.work);
        json!({ "stage": stage.stage, "wait_seconds": wait, "work_seconds": work, "attempts": stage.attempts })
    });
    json!({
        "id": id.as_str(),
        "state": state(story),
        "created": story.events.first().map(|envelope| &envelope.time),
        "updated": story.events.last().map(|envelope| &envelope.time),
        "lane": story.lanes().last(),
        "labels": labels(story),
        "transcript": transcript,
        "pictures": super::objects::pictures(id, story).iter().map(|own| picture(id, own)).collect::<Vec<_>>(),
        "stages": stages.collect::<Vec<_>>(),
        "total_seconds": story.total(),
        "error": error(story),
        "links": links(id),
    })
}

/// The sender's marks, once a worker has told them.
pub(crate) fn labels(story: &Story) -> Option<&BTreeMap<String, String>> {
    story.events.iter().rev().find_map(|envelope| match &envelope.data {
        Event::Accepted { labels, .. } => Some(labels),
        _ => None,
    })
}

/// The state in one word.
pub(crate) fn state(story: &Story) -> &'static str {
    match story.state() {
        "working" => "running",
        state => state,
    }
}

/// Why the job has no result.
pub(crate) fn error(story: &Story) -> Option<Value> {
    let (code, reason) = match story.end()? {
        Event::Failed { code, reason, .. } => (*code, reason.as_str()),
        Event::NoSpeech { reason, .. } => (Code::NoSpeech, reason.as_str()),
        _ => return None,
    };
    Some(json!({ "code": code, "reason": reason }))
}

fn picture(id: &JobId, own: &Picture) -> Value {
    json!({
        "index": own.index,
        "width": own.size.0,
        "height": own.size.1,
        "seed": own.seed,
        "sha256": own.sha256,
        "type": super::objects::media_type(&own.key),
        "url": format!("/v1/jobs/{id}/pictures/{}", own.index),
    })
}

/// Where everything of a job is.
pub(crate) fn links(id: &JobId) -> Value {
    let own = format!("/v1/jobs/{id}");
    json!({
        "self": own,
        "events": format!("{own}/events"),
        "cancel": own,
        "transcript": format!("{own}/transcript.json"),
    })
}
