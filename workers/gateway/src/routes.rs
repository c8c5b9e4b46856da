//! All routes in one list: the router and the OpenAPI document are made from it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::openai::{audio, images, models};
use crate::{a1111, capabilities, guard, jobs, openapi, page};

/// A route and what is said of it.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    handler: fn() -> MethodRouter<Gateway>,
}

/// The interfaces; a key may be needed.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: "post",
        path: "/v1/jobs",
        summary: "Send a recording or a text",
        handler: || post(jobs::submit::submit),
    },
    Route { method: "get", path: "/v1/jobs", summary: "List jobs, newest first", handler: || get(jobs::list::list) },
    Route {
        method: "get",
        path: "/v1/jobs/{id}",
        summary: "Everything known of a job",
        handler: || get(jobs::document::read),
    },
    Route {
        method: "delete",
        path: "/v1/jobs/{id}",
        summary: "Cancel a job",
        handler: || delete(jobs::cancel::cancel),
    },
    Route {
        method: "get",
        path: "/v1/jobs/{id}/events",
        summary: "Follow a job: Server-Sent Events, resumable",
        handler: || get(jobs::events::follow),
    },
    Route {
        method: "get",
        path: "/v1/jobs/{id}/pictures/{index}",
        summary: "A picture",
        handler: || get(jobs::objects::picture),
    },
    Route {
        method: "get",
        path: "/v1/jobs/{id}/{transcript}",
        summary: "The transcript: transcript.json, .txt, .srt or .vtt",
        handler: || get(jobs::objects::transcript),
    },
    Route {
        method: "get",
        path: "/v1/capabilities",
        summary: "Stages, pools, models and limits",
        handler: || get(capabilities::read),
    },
    Route {
        method: "post",
        path: "/v1/audio/transcriptions",
        summary: "OpenAI: words of a recording",
        handler: || post(audio::transcribe),
    },
    Route {
        method: "post",
        path: "/v1/audio/translations",
        summary: "OpenAI: words of a recording, in English",
        handler: || post(audio::translate),
    },
    Route {
        method: "post",
        path: "/v1/images/generations",
        summary: "OpenAI: pictures of a text",
        handler: || post(images::generate),
    },
    Route { method: "get", path: "/v1/models", summary: "OpenAI: models", handler: || get(models::list) },
    Route { method: "get", path: "/v1/models/{id}", summary: "OpenAI: one model", handler: || get(models::read) },
    Route { method: "post", path: "/sdapi/v1/txt2img", summary: "A1111: paint", handler: || post(a1111::paint) },
    Route { method: "get", path: "/sdapi/v1/options", summary: "A1111: settings", handler: || get(a1111::options) },
    Route {
        method: "post",
        path: "/sdapi/v1/options",
        summary: "A1111: check a model's name",
        handler: || post(a1111::set_options),
    },
    Route { method: "get", path: "/sdapi/v1/sd-models", summary: "A1111: models", handler: || get(a1111::checkpoints) },
    Route { method: "get", path: "/sdapi/v1/samplers", summary: "A1111: samplers", handler: || get(a1111::samplers) },
    Route { method: "get", path: "/sdapi/v1/progress", summary: "A1111: progress", handler: || get(a1111::progress) },
    Route { method: "post", path: "/sdapi/v1/interrupt", summary: "A1111: cancel", handler: || post(a1111::interrupt) },
];

/// The router of a gateway.
pub(crate) fn router(gateway: &Gateway) -> Router {
    let interfaces = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    // The guard has a limit of its own; axum's would cut every form at 2 MB.
    let interfaces = interfaces.layer(DefaultBodyLimit::disable());
    let interfaces = interfaces.layer(from_fn_with_state(gateway.clone(), guard::inner));
    Router::new()
        .merge(interfaces)
        .route("/", get(page::index))
        .route("/page/{name}", get(page::file))
        .route("/openapi.json", get(openapi::read))
        .fallback(async || ApiError::missing("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
            ApiError::new(status, "method-not-allowed", "this address does not take this method")
        })
        .layer(from_fn_with_state(gateway.clone(), guard::outer))
        .with_state(gateway.clone())
}
