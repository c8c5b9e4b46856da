//! `GET /v1/jobs`: jobs that wait, run and have ended, the newest first.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::future::join_all;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use shanshui_client::{Story, lane_of};
use shanshui_pipeline::Step;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::{KeptEvent, Wait};

use super::document::{self, labels, links, state};
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::wait;

/// Jobs of one answer, where none are asked for and at most.
const JOBS: (usize, usize) = (20, 100);
/// Looks at the stream for one answer: a lane with few jobs among many others gets short answers.
const PARTS: usize = 20;
/// Jobs that are read at a time.
const READERS: usize = 16;
/// Longest search for the places of all jobs of an answer.
const PLACES: Duration = Duration::from_secs(1);

/// Where jobs lie.
type Lying = HashMap<JobId, (&'static Step, u64)>;

/// Which jobs are asked for.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) limit: Option<String>,
    pub(crate) after: Option<String>,
}

/// Lists the jobs that the caller may know.
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::OK, &self::page(&gateway, &caller, page).await?))
}

/// One page of the jobs that the caller may know.
pub(crate) async fn page(gateway: &Gateway, caller: &Caller, page: Page) -> Result<Value, ApiError> {
    let refused = || wait::too_many("lists of this caller are being made");
    let _seat = gateway.lists.take(&caller.name).ok_or_else(refused)?;
    let limit = number("limit", page.limit.as_deref(), 1..=JOBS.1 as u64)?.map_or(JOBS.0, |limit| limit as usize);
    let mut before = number("after", page.after.as_deref(), 1..=u64::MAX)?;
    let lying = document::lying(gateway, caller).await;
    let mut jobs = match before {
        None => untold(gateway, caller, &lying, limit - 1).await,
        Some(_) => Vec::new(),
    };
    let mut parts = 0;
    let next = loop {
        parts += 1;
        let part = gateway.queue.jobs_before(before, limit).await.map_err(|error| ApiError::away(&error))?;
        let (full, last) = (part.len() == limit, part.last().map(|event| event.sequence));
        let mut read = stream::iter(part).map(|event| entry(gateway, caller, event)).buffered(READERS);
        while jobs.len() < limit
            && let Some(read) = read.next().await
        {
            let (sequence, job) = read?;
            before = Some(sequence);
            jobs.extend(job);
        }
        let more = full || (last.is_some() && before != last);
        if !more || jobs.len() == limit || parts == PARTS {
            break before.filter(|_| more);
        }
    };
    place(gateway, &lying, &mut jobs).await;
    Ok(json!({ "jobs": jobs, "next": next.map(|next| next.to_string()) }))
}

fn number(name: &str, given: Option<&str>, range: RangeInclusive<u64>) -> Result<Option<u64>, FieldError> {
    let Some(text) = given else { return Ok(None) };
    let allowed = || format!("a whole number from {} to {}", range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| FieldError::new(name, text, allowed()))
}

/// Jobs that came without a gateway, and that no worker has seen: only their queue knows of them.
async fn untold(gateway: &Gateway, caller: &Caller, lying: &Lying, most: usize) -> Vec<Value> {
    let mut newest: Vec<_> = lying.iter().map(|(id, (step, sequence))| (*sequence, id.clone(), *step)).collect();
    newest.sort_unstable_by_key(|(sequence, ..)| std::cmp::Reverse(*sequence));
    newest.truncate(most);
    let read = join_all(newest.into_iter().map(|one| only_queued(gateway, caller, one)));
    read.await.into_iter().flatten().collect()
}

async fn only_queued(
    gateway: &Gateway,
    caller: &Caller,
    (sequence, id, step): (u64, JobId, &'static Step),
) -> Option<Value> {
    if gateway.queue.event_after(&id, 0).await.ok()?.is_some() {
        return None;
    }
    let wait = gateway.queue.wait_of(step, sequence).await.ok()??;
    let known = caller.lane.as_ref().is_none_or(|own| *own == wait.lane);
    let mut job = json!({
        "id": id.as_str(), "state": "queued", "created": null, "lane": wait.lane, "labels": null, "links": links(&id),
    });
    add(&mut job, &wait);
    known.then_some(job)
}

/// The entry of a job whose first event this is, if the caller may know it.
async fn entry(gateway: &Gateway, caller: &Caller, told: KeptEvent) -> Result<(u64, Option<Value>), ApiError> {
    let id = JobId::parse("id", &told.envelope.subject)?;
    // Most jobs may be those of others: nothing more is read of them.
    if let (Some(own), Some(lane)) = (&caller.lane, lane_of(&told.envelope.data))
        && lane != own
    {
        return Ok((told.sequence, None));
    }
    let away = |error: anyhow::Error| ApiError::away(&error);
    let first = gateway.queue.event_after(&id, 0).await.map_err(away)?;
    if first.is_none_or(|first| first.sequence != told.sequence) {
        return Ok((told.sequence, None));
    }
    let events = gateway.queue.history(&id).await.map_err(away)?;
    let story = Story { events, ..Story::default() };
    let is_others =
        caller.lane.as_ref().is_some_and(|own| story.lanes().next().is_none() || story.lanes().any(|lane| lane != own));
    let job = (!is_others).then(|| {
        json!({
            "id": id.as_str(), "state": state(&story), "created": told.envelope.time, "lane": story.lanes().last(),
            "labels": labels(&story), "links": links(&id),
        })
    });
    Ok((told.sequence, job))
}

/// Says of the jobs that wait where they do, as far as that is found out in time.
async fn place(gateway: &Gateway, lying: &Lying, jobs: &mut [Value]) {
    let waiting = jobs.iter_mut().filter(|job| job["state"] == "queued" && job["place"].is_null());
    let placing = join_all(waiting.map(|job| place_one(gateway, lying, job)));
    // A list is worth something without places.
    let _ = tokio::time::timeout(PLACES, placing).await;
}

async fn place_one(gateway: &Gateway, lying: &Lying, job: &mut Value) {
    let id = JobId::parse("id", job["id"].as_str().unwrap_or_default());
    if let Some((step, sequence)) = id.ok().and_then(|id| lying.get(&id))
        && let Ok(Some(wait)) = gateway.queue.wait_of(step, *sequence).await
    {
        add(job, &wait);
    }
}

fn add(job: &mut Value, wait: &Wait) {
    job["place"] = wait.place.into();
    job["estimate_seconds"] = wait.seconds.into();
    job["workers"] = wait.pool.workers().into();
}
