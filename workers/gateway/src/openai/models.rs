//! `GET /v1/models`: the pools, by the names that these clients send.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use shanshui_pipeline::names::DEFAULT_POOL;
use shanshui_pipeline::queue::PoolState;

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;

/// Beginnings of the names by which clients ask for speech; all mean the default pool.
const SPEECH: [&str; 4] = ["whisper", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"];
/// The same for pictures.
const PICTURES: [&str; 4] = ["dall-e", "gpt-image", "chatgpt-image", "stable-diffusion"];
/// What these servers say of a model whose age nobody knows.
const CREATED: u64 = 1_735_689_600;

/// `GET /v1/models`
pub(crate) async fn list(State(gateway): State<Gateway>) -> Result<Response, ApiError> {
    let all: Vec<Value> = names(&gateway).await?.iter().map(|name| described(name)).collect();
    Ok(answer(StatusCode::OK, &json!({ "object": "list", "data": all })))
}

/// `GET /v1/models/{id}`
pub(crate) async fn read(State(gateway): State<Gateway>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let known = names(&gateway).await?.contains(&id);
    if known { Ok(answer(StatusCode::OK, &described(&id))) } else { Err(unknown(&id)) }
}

fn described(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": CREATED, "owned_by": "shanshui" })
}

/// One usual name for each default pool, and the name of every other pool.
async fn names(gateway: &Gateway) -> Result<Vec<String>, ApiError> {
    let pools = gateway.queue.all_pools().await.map_err(|error| ApiError::away(&error))?;
    let name = |pool: &PoolState| match (pool.pool.as_str(), pool.stage.as_str()) {
        (DEFAULT_POOL, "transcribe") => "whisper-1".to_owned(),
        (DEFAULT_POOL, "paint") => "stable-diffusion".to_owned(),
        (DEFAULT_POOL, stage) => stage.to_owned(),
        (pool, _) => pool.to_owned(),
    };
    Ok(pools.iter().map(name).collect())
}

/// The pool that a name means for a stage; none: the default one.
pub(crate) async fn pool(gateway: &Gateway, stage: &str, model: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(model) = model.filter(|model| !model.is_empty()) else { return Ok(None) };
    let pools = gateway.queue.all_pools().await.map_err(|error| ApiError::away(&error))?;
    if model != DEFAULT_POOL && pools.iter().any(|pool| pool.stage == stage && pool.pool == model) {
        return Ok(Some(model.to_owned()));
    }
    let usual = if stage == "transcribe" { SPEECH } else { PICTURES };
    let default = model == DEFAULT_POOL || model == stage || usual.iter().any(|start| model.starts_with(start));
    if default { Ok(None) } else { Err(unknown(model)) }
}

fn unknown(model: &str) -> ApiError {
    let shown: String = model.chars().take(60).flat_map(char::escape_debug).collect();
    let message = format!("model: {shown} is not allowed; allowed: those of GET /v1/models");
    ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
}
