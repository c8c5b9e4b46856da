//! `/metrics`, `/livez` (which some call `/healthz`) and `/readyz` of a process.

mod brief;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::telemetry::Metrics;
use brief::Brief;

/// Media type of OpenMetrics 1.0 as text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Pages {
    /// For `/livez` and `/readyz`.
    pub health: Arc<Health>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// Takes the address, so that an occupied one is an error at start. Port 0 is any free port.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("http: {address} cannot be served"))
}

/// Serves the pages until `stop` is cancelled.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(live))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(pages);
    let served = axum::serve(Brief::new(listener), router).with_graceful_shutdown(stop.cancelled_owned());
    served.await.context("http: serving metrics and probes")
}

async fn live(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.health.dead() {
        None => (StatusCode::OK, "alive\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    let missing = pages.health.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", missing.join("\n")))
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], pages.metrics.text())
}
