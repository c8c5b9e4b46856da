//! The pipeline as it is now: which stages there are, what waits, and who works there.

pub mod svg;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use shanshui_pipeline::fields::FieldError;
use tokio::sync::Mutex;

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
pub use view::{Pool, Stage, View, is_abandoned, state};

/// A view asks every stream and consumer: whoever asks within this time gets the last one.
const FRESH: Duration = Duration::from_secs(2);

/// The last view of a gateway, whoever asked for it.
#[derive(Debug, Default)]
pub(crate) struct Topology(Mutex<Option<(Instant, Arc<View>)>>);

#[derive(Deserialize)]
pub(crate) struct Asked {
    format: Option<String>,
}

/// `GET /v1/topology`
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Query(Asked { format }): Query<Asked>,
) -> Result<Response, ApiError> {
    let picture = match format.as_deref() {
        None | Some("json") => false,
        Some("svg") => true,
        Some(other) => return Err(FieldError::new("format", other, "json or svg").into()),
    };
    let view = view(&gateway).await?;
    if !picture {
        return Ok(answer(StatusCode::OK, &view.json()));
    }
    let mut response = Response::new(Body::from(svg::of(&view)));
    let set = response.headers_mut();
    set.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    set.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One request looks, and all that wait for it get what it saw.
async fn view(gateway: &Gateway) -> Result<Arc<View>, ApiError> {
    let mut last = gateway.topology.0.lock().await;
    if let Some((_, view)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        return Ok(Arc::clone(view));
    }
    let view = Arc::new(View::live(&gateway.queue).await.map_err(|error| ApiError::away(&error))?);
    *last = Some((Instant::now(), Arc::clone(&view)));
    Ok(view)
}
