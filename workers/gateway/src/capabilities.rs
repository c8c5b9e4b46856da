//! `GET /v1/capabilities`: what runs, and what is allowed.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use shanshui_pipeline::Step;
use shanshui_pipeline::job::MAX_TEXT;
use shanshui_pipeline::names::DEFAULT_POOL;
use shanshui_pipeline::picture::{COUNT, GRID, GUIDANCE, SIDE, STEPS};
use shanshui_pipeline::queue::PoolState;

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;

/// Asks the queues what there is.
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::OK, &now(&gateway, &caller).await?))
}

/// What there is now.
pub(crate) async fn now(gateway: &Gateway, caller: &Caller) -> Result<Value, ApiError> {
    let pools = gateway.queue.all_pools().await.map_err(|error| ApiError::away(&error))?;
    let steps = gateway.queue.steps();
    let samplers = gateway.words.samplers.iter().map(|(id, name)| json!({ "id": id, "name": name }));
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "steps": steps.iter().map(|step| described(step, &pools, &gateway.crew.of(step.stage))).collect::<Vec<_>>(),
        "samplers": samplers.collect::<Vec<_>>(),
        "formats": ["png", "jpeg", "webp"],
        "tasks": ["auto", "transcribe", "translate"],
        "webhooks": gateway.options.gateway_secret.is_some(),
        "cancel": { "queued": true, "running": true },
        "limits": limits(gateway),
        "caller": { "name": caller.name, "lane": caller.lane },
        "keys_needed": gateway.keys.are_needed(),
    }))
}

/// What the contract allows, and this process; a worker may allow less, and says so.
fn limits(gateway: &Gateway) -> Value {
    json!({
        "request_bytes": gateway.options.max_body(),
        "message_bytes": gateway.queue.max_payload(),
        "jobs_per_minute": gateway.options.jobs_per_minute,
        "text_characters": MAX_TEXT,
        "side": { "least": SIDE.start(), "most": SIDE.end(), "multiple_of": GRID },
        "steps": { "least": STEPS.start(), "most": STEPS.end() },
        "count": { "least": COUNT.start(), "most": COUNT.end() },
        "guidance": { "least": GUIDANCE.start(), "most": GUIDANCE.end() },
    })
}

fn described(step: &Step, pools: &[PoolState], workers: &[Value]) -> Value {
    let own = pools.iter().filter(|pool| pool.stage == step.stage);
    let pool = |pool: &PoolState| {
        let (waiting, running, idle) = (pool.waiting, pool.in_work, pool.asking);
        json!({
            "pool": pool.pool, "waiting": waiting, "running": running, "idle": idle,
            "workers": pool.workers(), "without_worker": pool.workers() == 0,
        })
    };
    json!({
        "stage": step.stage, "queue": step.queue, "makes": step.makes,
        "models": own.clone().map(|pool| model(&pool.pool)).collect::<Vec<_>>(),
        "pools": own.map(pool).collect::<Vec<_>>(),
        // What each of them says of itself: its model, its limits, what it recommends.
        "workers": workers,
    })
}

/// A pool has the name of its model; the default one takes jobs that name none.
fn model(pool: &str) -> &str {
    if pool == DEFAULT_POOL { "default" } else { pool }
}
