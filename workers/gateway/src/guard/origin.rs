//! From where a request may come, and which host it may ask for.

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderName, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use axum::http::{HeaderMap, Method, StatusCode};
use shanshui_pipeline::fields::FieldError;

use crate::body;
use crate::error::ApiError;
use crate::gateway::Gateway;

/// Longest `Host`: the longest name of the DNS, and a port.
const LONGEST: usize = 253 + 6;

/// A page of another site makes a browser send requests here. Where no key is needed, a name that
/// leads to this machine would even let it read the answers (DNS rebinding).
pub(super) fn check(gateway: &Gateway, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
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
    // What else it would be is not undone here, and another server may see another end of the body.
    if headers.get_all(TRANSFER_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(FieldError::new("Transfer-Encoding", "(another coding)", "chunked").into());
    }
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
