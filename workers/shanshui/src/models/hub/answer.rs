//! What the hub answers instead of a file, in words.

use std::time::Duration;

use anyhow::{Error, anyhow};
use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode, header};

/// Why a request brought nothing.
pub(super) enum Trouble {
    /// The answer stays the same.
    Refused(Error),
    /// Another attempt may bring it, after a pause that the hub may have named.
    Passing(Error, Option<Duration>),
}

/// Longest reason that is repeated, in characters.
const MAX_REASON: usize = 300;

/// The answer, if it is the file.
pub(super) fn judge(answer: Response<Body>, base: &str, has_token: bool) -> Result<Response<Body>, Trouble> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let (code, reason) = (said(answer.headers(), "x-error-code"), said(answer.headers(), "x-error-message"));
    let reason = reason.map_or_else(|| status.to_string(), |reason| format!("{status}: {reason}"));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Trouble::Refused(anyhow!("the hub refuses: {reason}; {}", advice(code.as_deref(), base, has_token))))
        }
        StatusCode::NOT_FOUND => Err(Trouble::Refused(missing(code.as_deref(), &reason))),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(passing(&reason, answer.headers())),
        status if status.is_server_error() => Err(passing(&reason, answer.headers())),
        _ => Err(Trouble::Refused(anyhow!("the hub refuses: {reason}"))),
    }
}

/// What to do about a refusal. The hub answers 401 for a repository that does not exist as well.
fn advice(code: Option<&str>, base: &str, has_token: bool) -> String {
    let token = if has_token { "use a token that may read it (HF_TOKEN)" } else { "give a token (HF_TOKEN)" };
    match code {
        Some("GatedRepo") => format!("accept its terms on its page at {base}, and {token}"),
        _ => format!("check the name; if the repository is private or gated, {token}"),
    }
}

fn missing(code: Option<&str>, reason: &str) -> Error {
    let what = match code {
        Some("RevisionNotFound") => "the repository has no such revision",
        Some("EntryNotFound") => "the repository has no such file",
        _ => "the hub has no such repository",
    };
    anyhow!("{what}: {reason}")
}

fn passing(reason: &str, headers: &HeaderMap) -> Trouble {
    let seconds = said(headers, "retry-after").and_then(|text| text.trim().parse().ok());
    let pause = seconds.or_else(|| reset(headers)).map(Duration::from_secs);
    Trouble::Passing(anyhow!("the hub is busy: {reason}"), pause)
}

/// The draft of a standard that the hub follows since 2025: `ratelimit: "api";r=0;t=55`.
fn reset(headers: &HeaderMap) -> Option<u64> {
    let limit = said(headers, "ratelimit")?;
    limit.split(';').find_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
}

/// A header's text, on one line and not too long.
fn said(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect())
}

/// The first byte that an answer holds, as `content-range` says it.
pub(super) fn start(answer: &Response<Body>) -> Option<u64> {
    let range = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
