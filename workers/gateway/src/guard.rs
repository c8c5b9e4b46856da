//! What every request passes through: the host it asks for, the key, the size; and what every answer
//! carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN,
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
use crate::room::Full;
use crate::routes;

/// Nothing is loaded from another host, and nothing that was said becomes code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Longest `Host`: the longest name of the DNS, and a port.
const LONGEST: usize = 253 + 6;
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
    let response = match check_origin(&gateway, request.method(), request.headers()) {
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
    request.extensions_mut().insert::<Caller>(caller);
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
        Link::None | Link::Holds => {
            let message = "an API key is missing or unknown: send `Authorization: Bearer KEY`";
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid-api-key", message))
        }
    }
}

/// Bounds the body, and counts it among those that are held as it comes. A length that is only promised
/// holds nothing: whoever sends slowly keeps nobody out.
pub(crate) fn hold(gateway: &Gateway, caller: &Caller, request: &mut Request) -> Result<(), ApiError> {
    let limit = gateway.options.max_body();
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
    let place = gateway.room.place(&caller.name);
    place.fits(length).map_err(|Full| body::busy())?;
    let whole = std::mem::replace(request.body_mut(), Body::empty());
    *request.body_mut() = body::watched(whole, limit, Arc::clone(&place));
    request.extensions_mut().insert(place);
    Ok(())
}

/// The key of a request: a bearer token, or the password of a user, as A1111's clients send it.
fn key(headers: &HeaderMap) -> Option<String> {
    let Some(given) = headers.get(AUTHORIZATION) else { return key_of_socket(headers) };
    let given = given.to_str().ok()?;
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

/// A page of another site makes a browser send requests here. Where no key is needed, a name that
/// leads to this machine would even let it read the answers (DNS rebinding).
fn check_origin(gateway: &Gateway, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let refused = |what: &str| Err(ApiError::new(StatusCode::FORBIDDEN, "other-site", what));
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(body::bad("Host: more than one is not allowed; allowed: one").about("Host"));
    }
    if !is_host(host) {
        let allowed = format!("a name or an address, and a port; at most {LONGEST} characters");
        return Err(FieldError::new("Host", host, allowed).into());
    }
    if !gateway.keys.are_needed() && !is_local(host) {
        return refused("this host is not allowed; allowed without API keys: localhost and loopback addresses");
    }
    // A page of any site may open a WebSocket, and read what comes over it.
    let reads = matches!(*method, Method::GET | Method::HEAD) && !headers.contains_key(UPGRADE);
    match text(ORIGIN) {
        Some(origin) if !reads && origin.split_once("://").is_none_or(|(_, own)| own != host) => {
            refused("a page of another site may not send this request")
        }
        _ => Ok(()),
    }
}

/// Whether this may be where we are reached: it is kept with webhooks and stands in every link that they get.
fn is_host(host: &str) -> bool {
    host.len() <= LONGEST && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte))
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn rand_id() -> u64 {
    // Names a request in a report; it guards nothing.
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::{is_host, is_local};

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for host in ["", "localhost:8080", "a_b.example", "xn--fsq.example", "[fe80::1%25eth0]:80", &"a".repeat(253)] {
            assert!(is_host(host), "{host}");
        }
        for host in ["a b", "a/b", "a.example?x", "a\"b", "a@b", "a#b", "a\\b", "<a>", &"a".repeat(260)] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "127.0.0.1", "[::1]:8080", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:8080", "10.0.0.1:8080", "127.0.0.1.evil.example"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
