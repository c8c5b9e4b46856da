//! All routes in one list: the router and the OpenAPI document are made from it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::openai::{audio, images, models};
use crate::{a1111, capabilities, guard, jobs, openapi, page, speak, topology, webhooks};

/// A route and what is said of it.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    handler: fn() -> MethodRouter<Gateway>,
}

/// The interfaces; a key may be needed.
pub(crate) const ROUTES: &[Route] = &[
    route("post", "/v1/jobs", "Send a recording or a text", || post(jobs::submit::submit)),
    route("get", "/v1/jobs", "List jobs, newest first", || get(jobs::list::list)),
    route("get", "/v1/jobs/{id}", "Everything known of a job", || get(jobs::document::read)),
    route("delete", "/v1/jobs/{id}", "Cancel a job, or erase it", || delete(jobs::cancel::delete)),
    route("get", "/v1/jobs/{id}/events", "Follow a job: Server-Sent Events, resumable", || get(jobs::events::follow)),
    route("get", "/v1/jobs/{id}/pictures/{index}", "A picture", || get(jobs::objects::picture)),
    route("get", "/v1/jobs/{id}/{transcript}", "The transcript: transcript.json, .txt, .srt or .vtt", || {
        get(jobs::objects::transcript)
    }),
    route("get", "/v1/speak", "WebSocket: sound in, words and pictures out", || get(speak::speak)),
    route("get", "/v1/webhooks/secret", "What signatures of webhooks are verified with", || get(webhooks::secret)),
    route("get", "/v1/capabilities", "Stages, pools, models and limits", || get(capabilities::read)),
    route("get", "/v1/topology", "The pipeline as it is now: JSON, or a picture", || get(topology::read)),
    route("post", "/v1/audio/transcriptions", "OpenAI: words of a recording", || post(audio::transcribe)),
    route("post", "/v1/audio/translations", "OpenAI: words of a recording, in English", || post(audio::translate)),
    route("post", "/v1/images/generations", "OpenAI: pictures of a text", || post(images::generate)),
    route("get", "/v1/models", "OpenAI: models", || get(models::list)),
    route("get", "/v1/models/{id}", "OpenAI: one model", || get(models::read)),
    route("post", "/sdapi/v1/txt2img", "A1111: paint", || post(a1111::paint)),
    route("get", "/sdapi/v1/options", "A1111: settings", || get(a1111::lists::options)),
    route("post", "/sdapi/v1/options", "A1111: check a model's name", || post(a1111::lists::set_options)),
    route("get", "/sdapi/v1/sd-models", "A1111: models", || get(a1111::lists::checkpoints)),
    route("get", "/sdapi/v1/samplers", "A1111: samplers", || get(a1111::lists::samplers)),
    route("get", "/sdapi/v1/schedulers", "A1111: spacings of the noise levels", || get(a1111::lists::schedulers)),
    route("get", "/sdapi/v1/upscalers", "A1111: upscalers: none", || get(a1111::lists::upscalers)),
    route("get", "/sdapi/v1/latent-upscale-modes", "A1111: upscalers: none", || get(a1111::lists::upscalers)),
    route("get", "/sdapi/v1/sd-vae", "A1111: VAEs beside the models: none", || get(a1111::lists::nothing)),
    route("get", "/sdapi/v1/loras", "A1111: LoRA files: those of the workers", || get(a1111::lists::nothing)),
    route("get", "/sdapi/v1/progress", "A1111: progress", || get(a1111::progress)),
    route("post", "/sdapi/v1/interrupt", "A1111: cancel", || post(a1111::interrupt)),
];

const fn route(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    handler: fn() -> MethodRouter<Gateway>,
) -> Route {
    Route { method, path, summary, handler }
}

/// The addresses besides.
const PAGES: [&str; 6] = ["/", "/page/{name}", "/docs", "/openapi.json", "/schema.json", "/asyncapi.json"];

/// The route that a path belongs to, with names in place of what varies.
pub(crate) fn template(path: &str) -> Option<&'static str> {
    let fits = |template: &&'static str| {
        let mut tokens = template.split('/').zip(path.split('/'));
        let alike = tokens.all(|(token, given)| token == given || token.starts_with('{') && !given.is_empty());
        alike && template.split('/').count() == path.split('/').count()
    };
    ROUTES.iter().map(|route| route.path).chain(PAGES).find(fits)
}

/// The router of a gateway.
pub(crate) fn router(gateway: &Gateway) -> Router {
    let interfaces = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    // The guard has a limit of its own; axum's would cut every form at 2 MB.
    let interfaces = interfaces.layer(DefaultBodyLimit::disable());
    let interfaces = interfaces.layer(from_fn_with_state(gateway.clone(), guard::inner));
    let router = Router::new().merge(interfaces);
    #[cfg(feature = "grpc")]
    let router = router.merge(crate::grpc::routes(gateway));
    #[cfg(feature = "graphql")]
    let router = router.merge(crate::graphql::routes(gateway));
    router
        .route("/", get(page::index))
        .route("/page/{name}", get(page::file))
        .route("/docs", get(page::docs))
        .route("/openapi.json", get(openapi::read))
        .route("/schema.json", get(openapi::schemas))
        .route("/asyncapi.json", get(openapi::subjects))
        .fallback(async || ApiError::missing("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
            ApiError::new(status, "method-not-allowed", "this address does not take this method")
        })
        .layer(from_fn_with_state(gateway.clone(), guard::outer))
        .with_state(gateway.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_name_of_its_route() {
        for (path, route) in [
            ("/v1/jobs", Some("/v1/jobs")),
            ("/v1/jobs/cat-1/events", Some("/v1/jobs/{id}/events")),
            ("/v1/jobs/cat-1/pictures/0", Some("/v1/jobs/{id}/pictures/{index}")),
            ("/page/app.js", Some("/page/{name}")),
            ("/", Some("/")),
            ("/v1/jobs/", None),
            ("/v2", None),
        ] {
            assert_eq!(template(path), route, "{path}");
        }
    }
}
