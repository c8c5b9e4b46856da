//! The span of one HTTP request, with the names of OpenTelemetry's semantic conventions
//! (opentelemetry.io/docs/specs/semconv/http/http-spans).

use std::time::{Instant, SystemTime};

use super::otlp::{self, Finished, Kind};
use super::sampler;
use crate::trace::TraceContext;

/// A request that is being answered.
#[derive(Debug)]
pub struct ServerSpan {
    trace: TraceContext,
    parent: Option<u64>,
    began: (Instant, SystemTime),
}

/// What is told of a request. Its query is left out: it may hold a signature.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// One of the standard methods, or `_OTHER`.
    pub method: &'a str,
    /// The path as it came.
    pub path: &'a str,
    /// The path with names in place of what varies; none where no route fits.
    pub route: Option<&'static str>,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Status of the answer.
    pub status: u16,
}

impl ServerSpan {
    /// Begins the span, within the trace of the caller if there is one; none where nobody wants spans.
    pub fn begin(parent: Option<&TraceContext>) -> Option<Self> {
        let begin = || Self {
            trace: sampler::next(parent),
            parent: parent.map(TraceContext::span),
            began: (Instant::now(), SystemTime::now()),
        };
        otlp::is_on().then(begin)
    }

    /// Its place in the trace.
    pub fn context(&self) -> &TraceContext {
        &self.trace
    }

    /// Ends it with the head of the answer.
    pub fn end(self, request: &Request<'_>) {
        let Request { method, path, route, scheme, status } = *request;
        let verb = if method == "_OTHER" { "HTTP" } else { method };
        let name = route.map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"));
        let times = (self.began.1, self.began.1 + self.began.0.elapsed());
        let span = Finished::new(name, Kind::Server, (&self.trace, self.trace.span(), self.parent), times)
            .with("http.request.method", method)
            .with("url.path", path)
            .with("url.scheme", scheme)
            .with("http.response.status_code", status);
        let span = match route {
            Some(route) => span.with("http.route", route),
            None => span,
        };
        // What a client did wrong is no failure of the server.
        let failed = status >= 500;
        let span = if failed { span.with("error.type", status.to_string()) } else { span };
        otlp::export(span.failed(failed));
    }
}
