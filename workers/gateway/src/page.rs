//! The page: files in the program, or in a folder that is read at each request.

use std::path::Path;

use axum::body::Body;
use axum::extract::{Path as Segment, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use shanshui_pipeline::id::sha256_hex;

use crate::error::ApiError;
use crate::gateway::Gateway;

/// Name and content of each file of `page/`: the build script lists them.
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// What the names of files begin with that never change.
const BUNDLE: &str = "bundle-";

/// `GET /`
pub(crate) async fn index(State(gateway): State<Gateway>, headers: HeaderMap) -> Response {
    served(&gateway, "index.html", &headers)
}

/// `GET /docs`: the interfaces, to read and to try.
pub(crate) async fn docs(State(gateway): State<Gateway>, headers: HeaderMap) -> Response {
    served(&gateway, "docs.html", &headers)
}

/// `GET /page/{name}`
pub(crate) async fn file(
    State(gateway): State<Gateway>,
    Segment(name): Segment<String>,
    headers: HeaderMap,
) -> Response {
    served(&gateway, &name, &headers)
}

fn served(gateway: &Gateway, name: &str, headers: &HeaderMap) -> Response {
    let Some(bytes) = find(gateway.options.page.as_deref(), name) else {
        return ApiError::missing("the page has no such file").into_response();
    };
    let tag = format!("\"{}\"", &sha256_hex(&bytes)[..16]);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let body = if known { Body::empty() } else { Body::from(bytes) };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let set = response.headers_mut();
    set.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    // A bundle has the name of its content. All else is asked for again each time, and not sent again: the
    // next version of the program has others.
    let kept = if name.starts_with(BUNDLE) { "public, max-age=31536000, immutable" } else { "no-cache" };
    set.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        set.insert(ETAG, tag);
    }
    response
}

fn find(folder: Option<&Path>, name: &str) -> Option<Bytes> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !plain || name.starts_with('.') {
        return None;
    }
    match folder {
        Some(folder) => std::fs::read(folder.join(name)).ok().map(Bytes::from),
        None => FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| Bytes::from_static(bytes)),
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, find, media_type};

    #[test]
    fn the_page_is_in_the_program_and_nothing_beside_it_is_read() {
        assert!(FILES.iter().any(|(name, _)| *name == "index.html"));
        assert!(FILES.iter().all(|(name, _)| media_type(name) != "application/octet-stream"));
        let index = find(None, "index.html").unwrap();
        let index = std::str::from_utf8(&index).unwrap();
        for ending in ["css", "js"] {
            let (name, text) =
                FILES.iter().find(|(name, _)| name.starts_with("bundle-") && name.ends_with(ending)).unwrap();
            let text = std::str::from_utf8(text).unwrap();
            assert!(index.contains(&format!("/page/{name}")), "{name}");
            assert!(!text.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")), "{name}");
        }
        assert!(!index.contains("modulepreload") && !index.contains("/page/base.css"), "{index}");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        assert!(find(Some(&folder), "index.html").is_some());
        for name in ["../Cargo.toml", "..", ".hidden", "a/b", "", "%2e%2e"] {
            assert_eq!(find(Some(&folder), name), None, "{name}");
        }
    }
}
