//! Webhooks: a receiver is told how a job ended, over HTTP, until it has heard.
//!
//! What somebody wants to be told lies in JetStream before the job does, and what is to be told is a
//! queue of its own there: any gateway goes on with what another one began.

mod post;
mod sign;
mod target;
mod tell;
mod work;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rmpv::Value;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::{JobId, JobMeta};

use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::keys::Caller;

pub(crate) use work::work;

/// The field of a job, and the parameter of a request.
pub(crate) const FIELD: &str = "webhook";

/// What somebody wants to be told of a job's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hook {
    version: u32,
    /// The receiver.
    url: String,
    /// Whose key the request had: the signature is made for it.
    caller: String,
    /// The job's lane.
    lane: String,
    /// `http://host` of the gateway, as the caller reached it.
    site: String,
}

impl Hook {
    /// What a request asks for, in its job or beside it.
    pub(crate) fn of(
        gateway: &Gateway,
        caller: &Caller,
        (lane, site): (&str, &str),
        meta: &mut JobMeta,
        beside: Option<String>,
    ) -> Result<Option<Self>, ApiError> {
        let at = meta.extra.iter().position(|(name, _)| name.as_str() == Some(FIELD));
        let url = match (at.map(|at| meta.extra.swap_remove(at).1), beside) {
            (None | Some(Value::Nil), None) => return Ok(None),
            (None | Some(Value::Nil), Some(url)) => url,
            (Some(Value::String(url)), None) => url.into_str().unwrap_or_default(),
            (Some(_), Some(_)) => return Err(FieldError::new(FIELD, "(given twice)", "one address").into()),
            (Some(other), None) => return Err(FieldError::new(FIELD, other, target::ALLOWED).into()),
        };
        if gateway.options.gateway_secret.is_none() {
            let allowed = "none; this gateway has no --gateway-secret";
            return Err(FieldError::new(FIELD, target::shown(&url), allowed).into());
        }
        target::Target::parse(&url, &gateway.options.webhook_allow)?;
        let [caller, lane, site] = [caller.name.as_str(), lane, site].map(str::to_owned);
        Ok(Some(Self { version: 1, url, caller, lane, site }))
    }

    /// Keeps it, before the job is on its queue.
    pub(crate) async fn keep(&self, gateway: &Gateway, job: &JobId) -> Result<(), ApiError> {
        let wish = serde_json::to_vec(self).unwrap_or_default();
        let kept = gateway.queue.want_webhook(job, wish.into()).await.map_err(|error| ApiError::away(&error))?;
        let kept: Option<Self> = serde_json::from_slice(&kept).ok();
        // The same request, sent again to another address of the gateway, is the same one.
        match kept {
            Some(kept) if kept.url == self.url && kept.caller == self.caller => Ok(()),
            _ => {
                let message = format!("webhook: job {job} has another one; allowed: the one that it has");
                Err(ApiError::new(StatusCode::CONFLICT, "name-used", message).about(FIELD))
            }
        }
    }
}

/// `GET /v1/webhooks/secret`: what the caller verifies signatures with.
pub(crate) async fn secret(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let Some(secret) = &gateway.options.gateway_secret else {
        return Err(ApiError::missing("this gateway has no --gateway-secret, and sends no webhooks"));
    };
    let own = sign::Signer::of(secret, &caller.name).secret();
    Ok(answer(StatusCode::OK, &json!({ "secret": own, "algorithm": "v1: HMAC-SHA256 of `id.timestamp.body`" })))
}
