//! Requests to the hub: redirects, the token, patience.

use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use shanshui_pipeline::causes;
use shanshui_pipeline::config::Secret;
use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body};

use super::answer::{self, Trouble};
use crate::print;

/// A client of one hub.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<Secret>,
}

/// Attempts in a row that bring nothing.
const ATTEMPTS: u32 = 5;
/// Pause after the first of them; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that is waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A pause that somebody who watches should know of.
const LONG: Duration = Duration::from_secs(5);
/// From the hub to its store, and within that.
const REDIRECTS: usize = 6;
const CONNECT: Duration = Duration::from_secs(15);
/// Silence after which a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(60);

impl Client {
    /// A client of the hub at `address`.
    ///
    /// # Errors
    /// An address that is none.
    pub(crate) fn new(address: &str, token: Option<Secret>) -> Result<Self> {
        let base = address.trim_end_matches('/').to_owned();
        let allowed = "allowed: https://host or http://host:port, without a user name";
        // The value is not repeated while it may hold a password.
        ensure!(!base.contains('@'), "hub-endpoint: a user name is not allowed; {allowed}");
        let wrong = || anyhow!("hub-endpoint: {address} is not allowed; {allowed}");
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        ensure!(matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some(), wrong());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("shanshui/", env!("CARGO_PKG_VERSION")))
            // A compressed answer has no ranges.
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE));
        Ok(Self { agent: config.build().into(), base, token })
    }

    /// Where the hub is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Asks for the bytes of `url` from `from` on. Redirects are followed; the token goes to the hub alone.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Trouble> {
        let mut place = url.to_owned();
        for _ in 0..REDIRECTS {
            let response = self.ask(&place, from)?;
            if !response.status().is_redirection() {
                return answer::judge(response, &self.base, self.token.is_some());
            }
            place = onward(&place, &response).map_err(Trouble::Refused)?;
        }
        Err(Trouble::Refused(anyhow!("{url} is redirected more than {REDIRECTS} times")))
    }

    fn ask(&self, place: &str, from: u64) -> Result<Response<Body>, Trouble> {
        let mut request = self.agent.get(place);
        if let Some(token) = self.token.as_ref().filter(|_| same_origin(place, &self.base)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let away = |error| Trouble::Passing(anyhow!("{} does not answer: {error}", shown(place)), None);
        request.call().map_err(away)
    }
}

/// Tries until something comes or patience is over. An attempt that brought something may say so in
/// `advanced`, and does not count.
pub(super) fn patiently<T>(mut attempt: impl FnMut(&mut bool) -> Result<T, Trouble>) -> Result<T> {
    let mut failed = 0;
    loop {
        let mut advanced = false;
        let (error, asked) = match attempt(&mut advanced) {
            Ok(done) => return Ok(done),
            Err(Trouble::Refused(error)) => return Err(error),
            Err(Trouble::Passing(error, asked)) => (error, asked),
        };
        failed = if advanced { 1 } else { failed + 1 };
        let pause = asked.unwrap_or(PAUSE * 2_u32.pow(failed - 1));
        if pause > LONGEST_PAUSE {
            bail!("{error:#}; try again in {} s", pause.as_secs());
        }
        if failed == ATTEMPTS {
            return Err(error.context("the hub does not give the file; run the command again to go on"));
        }
        note(&error, pause);
        std::thread::sleep(pause);
    }
}

fn note(error: &Error, pause: Duration) {
    if pause >= LONG {
        print::note(format_args!("{}; going on in {} s", causes(error), pause.as_secs()));
    }
}

/// Where a redirect leads.
fn onward(place: &str, response: &Response<Body>) -> Result<String> {
    let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let target = target.with_context(|| format!("{} redirects to nowhere", shown(place)))?;
    if let Some(path) = target.strip_prefix('/').filter(|path| !path.starts_with('/')) {
        return Ok(format!("{}/{path}", origin(place)));
    }
    let secure = target.starts_with("https://");
    let plain = target.starts_with("http://") && !place.starts_with("https://");
    ensure!(secure || plain, "{} redirects to {}, which is not allowed; allowed: https", shown(place), shown(target));
    Ok(target.to_owned())
}

/// An address without its query, which may be a signature.
pub(super) fn shown(place: &str) -> &str {
    place.split(['?', '#']).next().unwrap_or_default()
}

/// Scheme, host and port of an address.
fn origin(place: &str) -> &str {
    let host = place.find("://").map_or(0, |at| at + 3);
    place[host..].find(['/', '?', '#']).map_or(place, |end| &place[..host + end])
}

fn same_origin(place: &str, base: &str) -> bool {
    origin(place).eq_ignore_ascii_case(origin(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_for_the_hub_alone() {
        let base = "https://huggingface.co/mirror";
        for own in ["https://huggingface.co", "https://HuggingFace.co/a?b", "https://huggingface.co/mirror/x"] {
            assert!(same_origin(own, base), "{own}");
        }
        for other in [
            "http://huggingface.co/a",
            "https://huggingface.co:8443/a",
            "https://huggingface.co.evil.org/a",
            "https://huggingface.co@evil.org/a",
            "https://cdn-lfs.hf.co/a",
        ] {
            assert!(!same_origin(other, base), "{other}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_its_password() {
        for address in ["huggingface.co", "ftp://huggingface.co", "https://"] {
            let error = Client::new(address, None).err().unwrap().to_string();
            assert!(error.contains("hub-endpoint") && error.contains("is not allowed"), "{error}");
        }
        let error = Client::new("https://me:secret@host", None).err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn who_asks_for_too_long_a_pause_is_not_waited_for() {
        let busy = |_: &mut bool| Err(Trouble::Passing(anyhow!("429"), Some(Duration::from_secs(3600))));
        let error = patiently::<()>(busy).unwrap_err().to_string();
        assert_eq!(error, "429; try again in 3600 s");
    }
}
