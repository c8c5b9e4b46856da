//! `GET /v1/jobs`: the newest jobs first.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use shanshui_client::Story;
use shanshui_pipeline::Event;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::KeptEvent;

use super::document::{links, state};
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;

/// Jobs of one answer, where none are asked for and at most.
const JOBS: (usize, usize) = (20, 100);

/// Looks at the stream for one answer: a lane with few jobs among many others gets short answers.
const PARTS: usize = 20;

#[derive(Deserialize)]
pub(crate) struct Page {
    limit: Option<String>,
    after: Option<String>,
}

/// Lists the jobs that a worker has accepted.
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    let limit = number("limit", page.limit.as_deref(), 1..=JOBS.1 as u64)?.map_or(JOBS.0, |limit| limit as usize);
    let mut before = number("after", page.after.as_deref(), 1..=u64::MAX)?;
    let (mut jobs, mut parts) = (Vec::new(), 0);
    let next = loop {
        parts += 1;
        let part = gateway.queue.jobs_before(before, limit).await.map_err(|error| ApiError::away(&error))?;
        let (full, last) = (part.len() == limit, part.last().map(|event| event.sequence));
        for event in part {
            if jobs.len() == limit {
                break;
            }
            before = Some(event.sequence);
            if of_caller(&caller, &event.envelope.data) {
                jobs.push(entry(&gateway, &event).await?);
            }
        }
        let more = full || (last.is_some() && before != last);
        if !more || jobs.len() == limit || parts == PARTS {
            break before.filter(|_| more);
        }
    };
    Ok(answer(StatusCode::OK, &json!({ "jobs": jobs, "next": next.map(|next| next.to_string()) })))
}

fn number(name: &str, given: Option<&str>, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, FieldError> {
    let Some(text) = given else { return Ok(None) };
    let allowed = || format!("a whole number from {} to {}", range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| FieldError::new(name, text, allowed()))
}

fn of_caller(caller: &Caller, event: &Event) -> bool {
    let Event::Accepted { lane, .. } = event else { return false };
    caller.lane.as_ref().is_none_or(|own| own == lane)
}

async fn entry(gateway: &Gateway, accepted: &KeptEvent) -> Result<Value, ApiError> {
    let Envelope { subject, time, data, .. } = &accepted.envelope;
    let id = JobId::parse("id", subject)?;
    let last = gateway.queue.newest_event(&id).await.map_err(|error| ApiError::away(&error))?;
    let state = match last.map(|last| last.envelope.data) {
        Some(event) if event.is_final() => event.kind(),
        // A worker that lost its connection may tell something after the end.
        _ => {
            let events = gateway.queue.history(&id).await.map_err(|error| ApiError::away(&error))?;
            state(&Story { events, ..Story::default() })
        }
    };
    let (labels, lane) = match data {
        Event::Accepted { labels, lane, .. } => (json!(labels), json!(lane)),
        _ => Default::default(),
    };
    Ok(json!({
        "id": id.as_str(), "state": state, "created": time, "lane": lane, "labels": labels, "links": links(&id),
    }))
}
