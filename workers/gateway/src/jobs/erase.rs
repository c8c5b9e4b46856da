//! Erasing a job: `DELETE /v1/jobs/{id}?erase=true`, and the same over gRPC and GraphQL.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Refused;
use shanshui_pipeline::reconcile::{Erased, Eraser, Standing};

use super::document;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;

/// Longest search of DEAD and of the queues for what belongs to the job.
const SEARCH: Duration = Duration::from_secs(60);

/// Erases what is kept of a job of the caller's that has ended: recording, transcript, pictures, events.
pub(crate) async fn request(gateway: &Gateway, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    let id = &document::parse(id)?;
    let story = document::story(gateway, caller, id).await?.ok_or_else(|| ApiError::unknown_job(id))?;
    if story.end().is_none() {
        return Err(open(id));
    }
    let busy = || {
        let message = "too many jobs are erased or looked for at this moment; nothing was erased";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).after(5)
    };
    let _seat = gateway.searches.take(&caller.name).ok_or_else(busy)?;
    let looking = async {
        // Every message of DEAD and of the queues is looked at: one request at a time does it.
        let _alone = gateway.looking.lock().await;
        Eraser::prepare_in(&gateway.queue, &gateway.store, caller.lane.as_deref()).await
    };
    let eraser = tokio::time::timeout(SEARCH, looking).await.map_err(|_| busy())?.map_err(|error| refused(&error))?;
    // The last run may have been replayed since.
    if let Standing::Open(_) = eraser.standing(id).await.map_err(|error| refused(&error))? {
        return Err(open(id));
    }
    eraser.may(id).await.map_err(|error| refused(&error))?;
    let erased = eraser.erase(id).await.map_err(|error| refused(&error))?;
    tracing::info!(job = %id, caller = caller.name, objects = erased.objects, "a job is erased for its caller");
    let Erased { objects, events, letters, queued, .. } = erased;
    let counted = json!({ "objects": objects, "events": events, "dead_letters": letters, "queued": queued });
    Ok(json!({ "id": id.as_str(), "erased": counted }))
}

fn open(id: &JobId) -> ApiError {
    let message = format!("job {id} has not ended; cancel it, and erase it when it has ended");
    ApiError::new(StatusCode::CONFLICT, "job-open", message).about("id")
}

/// A user of NATS without the right to erase is no outage.
fn refused(error: &anyhow::Error) -> ApiError {
    if error.chain().any(|cause| cause.is::<Refused>()) {
        let message = "this gateway may not erase: its user of NATS lacks the rights; ask the operator";
        return ApiError::new(StatusCode::FORBIDDEN, "may-not-erase", message);
    }
    ApiError::away(error)
}
