//! `GET /v1/jobs/{id}/events`: Server-Sent Events, from the first event on or from where a follower left.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream::unfold;
use serde::Deserialize;
use serde_json::Value;
use shanshui_client::lane_of;
use shanshui_pipeline::Code;
use shanshui_pipeline::job::JobId;

use super::document;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::seats::Seat;
use crate::wait::{self, Follower, News};

/// Between two comments that show that the line still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(crate) struct From {
    /// For clients that cannot set a header.
    last_event_id: Option<String>,
}

/// Follows a job to its end.
pub(crate) async fn follow(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = document::parse(&id)?;
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()).or(from.last_event_id.as_deref());
    let last = last.and_then(|last| last.parse().ok()).unwrap_or(0);
    // A browser that is told "no content" does not come back.
    let Some(following) = Following::open(gateway, caller, id, last).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let stream = Sse::new(events(following));
    let mut response = stream.keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // A proxy that gathers the answer would keep the events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

/// A follower and what it may hear.
pub(crate) struct Following {
    gateway: Gateway,
    caller: Caller,
    id: JobId,
    follower: Follower,
    _seat: Seat,
}

impl Following {
    /// Follows a job that the caller may know, behind the event `last`; none if nothing is left to tell.
    pub(crate) async fn open(gateway: Gateway, caller: Caller, id: JobId, last: u64) -> Result<Option<Self>, ApiError> {
        let seat = wait::seat(&gateway, &caller)?;
        let mut follower = Follower::new(&gateway, &id, last);
        document::story(&gateway, &caller, &id).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
        if last > 0 && follower.is_over().await.map_err(|error| ApiError::away(&error))? {
            return Ok(None);
        }
        Ok(Some(Self { gateway, caller, id, follower, _seat: seat }))
    }

    /// The next event; none behind the last one that the caller may hear.
    pub(crate) async fn next(&mut self) -> Result<Option<News>, ApiError> {
        let news = tokio::select! {
            news = self.follower.next() => news,
            () = self.gateway.stop.cancelled() => {
                let message = "the gateway stops; follow the job at another one";
                return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::ServiceAway.as_str(), message));
            }
        };
        match news {
            Ok(news) => Ok(news.filter(|news| self.may_hear(news))),
            Err(error) => {
                super::submit::forgotten(&self.id, &error);
                Err(ApiError::away(&error))
            }
        }
    }

    /// Nothing of another lane: a second sender may use the name of a job that is followed.
    fn may_hear(&self, news: &News) -> bool {
        let (Some(own), News::Kept(event)) = (&self.caller.lane, news) else { return true };
        lane_of(&event.envelope.data).is_none_or(|lane| lane == own)
    }
}

fn events(following: Following) -> impl Stream<Item = Result<Sent, Infallible>> + Send + 'static {
    unfold(Some(following), |state| async move {
        let mut following = state?;
        // Where that fails the client comes back, and is told then what is wrong.
        let news = following.next().await.ok()??;
        Some((Ok(sent(&news)), Some(following)))
    })
}

/// An event as it is told: its place among those that are kept, its kind, and the whole of it. That is
/// written anew: what a publisher wrote could be more than one value, or more than one line.
pub(crate) fn read(news: &News) -> (Option<u64>, String, Value) {
    let (sequence, payload) = match news {
        News::Kept(event) => (Some(event.sequence), &event.payload),
        News::Passing(payload) => (None, payload),
    };
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let kind = value["data"]["kind"].as_str().unwrap_or("event").to_owned();
    (sequence, kind, value)
}

fn sent(news: &News) -> Sent {
    let (sequence, kind, value) = read(news);
    let event = Sent::default().event(kind).data(value.to_string());
    match sequence {
        Some(sequence) => event.id(sequence.to_string()),
        None => event,
    }
}
