//! `DELETE /v1/jobs/{id}`

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::document::{self, links, state};
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;

/// Cancels a job: running work stops within a step, waiting work when its turn comes.
pub(crate) async fn cancel(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::ACCEPTED, &request(&gateway, &caller, &id).await?))
}

/// Asks for the end of a job that has not ended.
pub(crate) async fn request(gateway: &Gateway, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    let id = document::parse(id)?;
    let story = document::story(gateway, caller, &id).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
    if story.end().is_some() {
        let message = format!("job {id} has ended already: {}", state(&story));
        return Err(ApiError::new(StatusCode::CONFLICT, "job-ended", message).about("id"));
    }
    let canceled = match &caller.lane {
        Some(lane) => gateway.queue.cancel_in(&id, lane).await,
        None => gateway.queue.cancel(&id).await,
    };
    canceled.map_err(|error| ApiError::away(&error))?;
    Ok(json!({ "id": id.as_str(), "state": state(&story), "cancel": "requested", "links": links(&id) }))
}
