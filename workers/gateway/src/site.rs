//! Where a gateway is, as its caller sees it.

use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderName};

/// Whether a proxy took the request over TLS.
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// `http://host` of this gateway, as the caller reached it.
pub(crate) fn site(headers: &HeaderMap) -> String {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let scheme = text(PROTO).filter(|scheme| *scheme == "https").unwrap_or("http");
    format!("{scheme}://{host}")
}

/// Whether a header says where that is.
#[cfg(feature = "graphql")]
pub(crate) fn tells(name: &HeaderName) -> bool {
    [HOST, PROTO].contains(name)
}
