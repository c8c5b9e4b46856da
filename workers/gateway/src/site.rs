//! Where a gateway is, as its caller sees it.

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// `http://host` of this gateway, as the caller reached it.
pub(crate) fn site(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST.as_str()).unwrap_or_default();
    let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    format!("{scheme}://{host}")
}
