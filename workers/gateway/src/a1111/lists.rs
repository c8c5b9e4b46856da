//! What these clients ask before they paint: settings, and lists of what there is to choose from.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use shanshui_pipeline::names::DEFAULT_POOL;

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::openai::models;

/// `GET /sdapi/v1/options`
pub(crate) async fn options() -> Response {
    answer(StatusCode::OK, &json!({ "sd_model_checkpoint": DEFAULT_POOL, "samples_format": "png" }))
}

/// `POST /sdapi/v1/options`: a model is chosen by each request (`override_settings`), not for all.
pub(crate) async fn set_options(State(gateway): State<Gateway>, request: Request) -> Result<Response, ApiError> {
    let wanted = super::object(request).await?;
    models::pool(&gateway, "paint", wanted.get("sd_model_checkpoint").and_then(Value::as_str)).await?;
    Ok(answer(StatusCode::OK, &Value::Null))
}

/// `GET /sdapi/v1/sd-models`
pub(crate) async fn checkpoints(State(gateway): State<Gateway>) -> Result<Response, ApiError> {
    let pools = gateway.queue.all_pools().await.map_err(|error| ApiError::away(&error))?;
    let model = |name: &str| json!({ "title": name, "model_name": name, "hash": null, "sha256": null, "filename": name, "config": null });
    let all: Vec<Value> = pools.iter().filter(|pool| pool.stage == "paint").map(|pool| model(&pool.pool)).collect();
    Ok(answer(StatusCode::OK, &all.into()))
}

/// `GET /sdapi/v1/samplers`
pub(crate) async fn samplers(State(gateway): State<Gateway>) -> Response {
    let sampler = |(id, name): &(&str, &str)| json!({ "name": name, "aliases": [id], "options": {} });
    let all: Vec<Value> = gateway.words.samplers.iter().map(sampler).collect();
    answer(StatusCode::OK, &all.into())
}

/// `GET /sdapi/v1/schedulers`: how the noise levels are spaced.
pub(crate) async fn schedulers(State(gateway): State<Gateway>) -> Response {
    let karras = gateway.words.samplers.iter().any(|(_, name)| name.ends_with("Karras"));
    let all = [("automatic", "Automatic"), ("karras", "Karras")];
    let all = all.iter().take(if karras { 2 } else { 1 });
    let all: Vec<Value> = all.map(|(name, label)| json!({ "name": name, "label": label, "aliases": null })).collect();
    answer(StatusCode::OK, &all.into())
}

/// `GET /sdapi/v1/upscalers`, `/latent-upscale-modes`: pictures are painted in their size.
pub(crate) async fn upscalers() -> Response {
    let none = json!({ "name": "None", "model_name": null, "model_path": null, "model_url": null, "scale": 1 });
    answer(StatusCode::OK, &json!([none]))
}

/// `GET /sdapi/v1/sd-vae`, `/loras`, `/embeddings`: these are part of the models that workers load.
pub(crate) async fn nothing() -> Response {
    answer(StatusCode::OK, &json!([]))
}
