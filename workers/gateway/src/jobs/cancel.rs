//! `DELETE /v1/jobs/{id}`: a job is canceled, or erased.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use shanshui_pipeline::fields::FieldError;

use super::document::{self, links, state};
use super::erase;
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;

#[derive(Deserialize)]
pub(crate) struct Asked {
    erase: Option<String>,
}

/// Cancels a job: running work stops within a step, waiting work when its turn comes. Or erases one that
/// has ended.
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    match asked.erase.as_deref() {
        None | Some("false") => Ok(answer(StatusCode::ACCEPTED, &request(&gateway, &caller, &id).await?)),
        Some("true") => Ok(answer(StatusCode::OK, &erase::request(&gateway, &caller, &id).await?)),
        Some(other) => Err(FieldError::new("erase", other, "true or false").into()),
    }
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
