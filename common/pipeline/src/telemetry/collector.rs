//! Where traces go: the variables of OpenTelemetry, and the request.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Uri;

use super::otlp::attribute;

/// Before the second and the third try of one request.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// Answers after which the same request may be sent again (OTLP/HTTP, "Retryable Response Codes").
const AGAIN: [u16; 4] = [429, 502, 503, 504];
/// The default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const TIME: Duration = Duration::from_secs(10);

/// A collector that takes OTLP over HTTP.
pub(super) struct Collector {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    resource: Vec<Value>,
}

/// Reads a variable of the environment.
type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Collector {
    /// The collector that the standard variables name, if they name one
    /// (opentelemetry.io/docs/specs/otel/protocol/exporter).
    pub(super) fn from_environment(variables: &Variables<'_>) -> anyhow::Result<Option<Self>> {
        let own = |name: &str| {
            let special = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let common = format!("OTEL_EXPORTER_OTLP_{name}");
            given(variables, &special)
                .map(|it| (special, it))
                .or_else(|| given(variables, &common).map(|it| (common, it)))
        };
        let off = given(variables, "OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let none = given(variables, "OTEL_TRACES_EXPORTER").is_some_and(|it| it == "none");
        let Some((name, endpoint)) = own("ENDPOINT").filter(|_| !off && !none) else { return Ok(None) };
        if let Some((name, protocol)) = own("PROTOCOL").filter(|(_, it)| it != "http/json") {
            bail!(
                "{name}: {protocol} is not allowed; allowed: http/json, which every collector takes on its HTTP port"
            );
        }
        let url = url(&name, &endpoint)?;
        let time = own("TIMEOUT").map(|(name, it)| milliseconds(&name, &it)).transpose()?.unwrap_or(TIME);
        let headers = own("HEADERS").map(|(name, it)| pairs(&name, &it)).transpose()?.unwrap_or_default();
        // A collector that sends elsewhere (to a page to log in at, say) has taken nothing, and the headers are its own.
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(time));
        let config = config.max_redirects(0).max_redirects_will_error(false);
        Ok(Some(Self { agent: config.build().into(), url, headers, resource: resource(variables)? }))
    }

    /// Sends spans; an error when they are lost.
    pub(super) fn send(&self, spans: Vec<Value>) -> Result<(), String> {
        let scope = json!({ "name": "shanshui", "version": env!("CARGO_PKG_VERSION") });
        let spans = json!([{ "scope": scope, "spans": spans }]);
        let body = json!({ "resourceSpans": [{ "resource": { "attributes": self.resource }, "scopeSpans": spans }] });
        let body = body.to_string();
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.post(&body) {
                Ok(status) if (200..300).contains(&status) => return Ok(()),
                Ok(status) if !AGAIN.contains(&status) => return Err(format!("HTTP {status}")),
                Ok(status) => format!("HTTP {status}"),
                Err(error) => error.to_string(),
            };
            match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(error),
            }
        }
    }

    fn post(&self, body: &str) -> Result<u16, ureq::Error> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut answer = request.send(body.as_bytes())?;
        // A connection is used again only when its answer has been read.
        let _ = answer.body_mut().with_config().limit(1 << 16).read_to_vec();
        Ok(answer.status().as_u16())
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers hold keys.
        f.debug_struct("Collector").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An empty variable counts as none.
fn given(variables: &Variables<'_>, name: &str) -> Option<String> {
    variables(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The common endpoint is a base; the one for traces is taken as it is.
fn url(name: &str, endpoint: &str) -> anyhow::Result<String> {
    let allowed = "allowed: http://host:4318 or https://host";
    if endpoint.contains('@') {
        bail!("{name}: a user name is not allowed; {allowed}; secrets go into OTEL_EXPORTER_OTLP_HEADERS");
    }
    let wrong = || anyhow!("{name}: {endpoint} is not allowed; {allowed}");
    let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(wrong());
    }
    let base = endpoint.trim_end_matches('/');
    Ok(if name.contains("TRACES") { endpoint.to_owned() } else { format!("{base}/v1/traces") })
}

fn milliseconds(name: &str, text: &str) -> anyhow::Result<Duration> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number
        .map(Duration::from_millis)
        .with_context(|| format!("{name}: {text} is not allowed; allowed: milliseconds, above 0"))
}

/// `key=value,key=value`, the values percent-encoded. They may be secrets: an error does not repeat them.
fn pairs(name: &str, text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let wrong = || anyhow!("{name}: (hidden) is not allowed; allowed: key=value, separated by commas");
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(wrong)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong())?;
        let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let named = !key.trim().is_empty() && key.trim().bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if plain && named { Ok((key.trim().to_owned(), value.into_owned())) } else { Err(wrong()) }
    };
    parts.map(pair).collect()
}

/// Who sends.
fn resource(variables: &Variables<'_>) -> anyhow::Result<Vec<Value>> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let told = given(variables, name).map(|it| pairs(name, &it)).transpose()?.unwrap_or_default();
    let service = given(variables, "OTEL_SERVICE_NAME");
    let has = |key: &str| told.iter().any(|(own, _)| own == key);
    let mut all = Vec::new();
    if service.is_some() || !has("service.name") {
        all.push(attribute("service.name", &service.clone().unwrap_or_else(|| "shanshui".into()).into()));
    }
    if !has("service.version") {
        all.push(attribute("service.version", &env!("CARGO_PKG_VERSION").into()));
    }
    let others = told.iter().filter(|(key, _)| service.is_none() || key != "service.name");
    all.extend(others.map(|(key, value)| attribute(key, &value.as_str().into())));
    Ok(all)
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
