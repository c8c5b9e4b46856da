//! What every request passes through: the host it asks for, the key, the size; and what every answer
//! carries.

mod origin;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    REFERRER_POLICY, SEC_WEBSOCKET_PROTOCOL, UPGRADE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use shanshui_pipeline::Code;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::telemetry::{self, ServerSpan, within};
use shanshui_pipeline::trace::TraceContext;

use crate::body::{self, BodyError};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::links::{self, Link};
use crate::room::{Full, Room};
use crate::routes;
use crate::server::Held;
use crate::wait;

/// Nothing is loaded from another host, and nothing that was said becomes code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Most bytes that a request without a caller has behind its head.
const GUEST: usize = 64 << 10;
/// Longest refusal of the router's.
const SAID: usize = 4096;

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What an answer means whose own status is always 200.
#[derive(Clone, Copy)]
pub(crate) struct Meant(pub(crate) StatusCode);

/// For every request: who may ask at all, and what every answer carries.
pub(crate) async fn outer(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let (interface, id) = (interface(request.uri().path()), format!("{:016x}", rand_id()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let caller = trace(request.headers());
    let span = ServerSpan::begin(caller.as_ref());
    let place = span.as_ref().map(|span| span.context().clone()).or(caller);
    let response = match origin::check(&gateway, request.method(), request.headers()) {
        Ok(()) => within(place, next.run(request)).await,
        Err(error) => error.into_response(),
    };
    let mut response = enveloped(response).await;
    let status = response.extensions().get::<Meant>().map_or(response.status(), |meant| meant.0);
    let (failed, status) = (status.is_server_error(), status.as_u16());
    if let Some(span) = span {
        let (method, route) = (known(&method), routes::template(&path));
        span.end(&telemetry::Request { method, path: &path, route, scheme: "http", status });
    }
    gateway.metrics.answered(interface, status);
    if failed {
        tracing::info!(request = id, %method, path, status, "a request failed");
    } else {
        tracing::debug!(request = id, %method, path, status, "a request is answered");
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// The trace of the caller, as W3C Trace Context has it; what is no such header counts as none.
fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let one = |name: &str| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none())?.to_str().ok()
    };
    TraceContext::parse(one("traceparent")?, one("tracestate"))
}

/// What the router itself refuses (a query that is none, a path that is no text) in the form of all
/// other refusals.
async fn enveloped(response: Response) -> Response {
    let plain = response.headers().get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"text/plain"));
    let status = response.status();
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let said = axum::body::to_bytes(response.into_body(), SAID).await.unwrap_or_default();
    let code = if status.is_server_error() { Code::Failed } else { Code::BadInput };
    ApiError::new(status, code.as_str(), String::from_utf8_lossy(&said)).into_response()
}

/// Anybody may invent methods; the names of spans are to be few.
fn known(method: &Method) -> &str {
    let all = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];
    if all.contains(method) { method.as_str() } else { "_OTHER" }
}

fn interface(path: &str) -> &'static str {
    let theirs = ["/v1/audio/", "/v1/images/", "/v1/models"];
    match path {
        path if path.starts_with("/sdapi/") => "a1111",
        path if theirs.iter().any(|start| path.starts_with(start)) => "openai",
        path if path.starts_with("/v1/") => "jobs",
        path if path.starts_with("/shanshui.v1.") || path.starts_with("/grpc.") => "grpc",
        "/graphql" => "graphql",
        _ => "page",
    }
}

/// For the interfaces: a key, a connection to NATS, and a body of allowed size.
pub(crate) async fn inner(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    match admit(&gateway, &mut request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Lets a request in whose caller is known, and bounds what it sends.
pub(crate) fn admit(gateway: &Gateway, request: &mut Request) -> Result<(), ApiError> {
    let caller = caller(gateway, request)?;
    if !gateway.queue.is_connected() {
        return Err(ApiError::away(&anyhow::anyhow!("NATS does not answer")));
    }
    hold(gateway, &caller, request)?;
    if let Some(held) = request.extensions().get::<Held>().filter(|_| caller != Caller::guest()) {
        know(gateway, held, &caller)?;
    }
    request.extensions_mut().insert::<Caller>(caller);
    Ok(())
}

/// The request has a caller, and counts as one of its own.
pub(crate) fn know(gateway: &Gateway, held: &Held, caller: &Caller) -> Result<(), ApiError> {
    if gateway.keys.are_needed() && !held.is_of(&caller.name) {
        return Err(wait::too_many("requests of this caller are in work"));
    }
    held.is_known();
    Ok(())
}

/// Who calls: the owner of a key, or whoever has a link to the picture that is asked for.
fn caller(gateway: &Gateway, request: &Request) -> Result<Caller, ApiError> {
    let link = links::look(gateway.options.gateway_secret.as_ref(), request);
    // A link opens its picture, whatever key a browser sends along.
    if link == Link::Holds {
        return Ok(Caller::guest());
    }
    if let Some(caller) = gateway.keys.caller(key(request.headers()).as_deref()) {
        return Ok(caller);
    }
    match link {
        Link::Expired => {
            let message = "this link has expired; ask for another one with an API key";
            Err(ApiError::new(StatusCode::FORBIDDEN, "link-expired", message))
        }
        Link::None | Link::Holds => Err(stranger()),
    }
}

/// A caller without a key that is known.
pub(crate) fn stranger() -> ApiError {
    let message = "an API key is missing or unknown: send `Authorization: Bearer KEY`";
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid-api-key", message)
}

/// Bounds the body, and counts it among those that are held as it comes. A length that is only promised
/// holds nothing: whoever sends slowly keeps nobody out.
pub(crate) fn hold(gateway: &Gateway, caller: &Caller, request: &mut Request) -> Result<(), ApiError> {
    let guest = *caller == Caller::guest();
    let limit = if guest { GUEST } else { gateway.options.max_body() };
    let encodings = request.headers().get_all(CONTENT_ENCODING).iter();
    if let Some(encoding) =
        encodings.into_iter().find(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let found = String::from_utf8_lossy(encoding.as_bytes());
        let error = FieldError::new("Content-Encoding", found, "none: a body as it is");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "unsupported-media-type", error.to_string()).about("Content-Encoding"));
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let length = length.unwrap_or(0);
    if length > limit {
        return Err(body::too_large(&BodyError::TooLarge(limit)));
    }
    // Nobody without a key takes the room of those who have one, nor of each other.
    let room = if guest { Room::new(GUEST, false) } else { Arc::clone(&gateway.room) };
    let place = room.place(&caller.name);
    place.fits(length).map_err(|Full| body::busy())?;
    let whole = std::mem::replace(request.body_mut(), Body::empty());
    *request.body_mut() = body::watched(whole, limit, Arc::clone(&place));
    request.extensions_mut().insert(place);
    Ok(())
}

/// The key of a request: a bearer token, or the password of a user, as A1111's clients send it.
pub(crate) fn key(headers: &HeaderMap) -> Option<String> {
    match headers.get(AUTHORIZATION) {
        Some(given) => key_in(given.to_str().ok()?),
        None => key_of_socket(headers),
    }
}

/// The key in the words of `Authorization`.
pub(crate) fn key_in(given: &str) -> Option<String> {
    let (scheme, value) = given.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(value.trim().to_owned()),
        "basic" => {
            let text = String::from_utf8(BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
            Some(text.split_once(':')?.1.to_owned())
        }
        _ => None,
    }
}

/// A browser sends no header of its own with a WebSocket, but words of a protocol: `key.` and the key in
/// base64url.
fn key_of_socket(headers: &HeaderMap) -> Option<String> {
    headers.get(UPGRADE)?;
    let words = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|words| words.to_str().ok());
    let mut keys = words.flat_map(|words| words.split(',')).filter_map(|word| word.trim().strip_prefix("key."));
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(keys.next()?).ok()?).ok()
}

fn rand_id() -> u64 {
    // Names a request in a report; it guards nothing.
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
