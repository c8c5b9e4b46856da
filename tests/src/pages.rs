//! What a worker shows over HTTP: probes and metrics.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::wait::until;

/// Longest wait for one answer: the pages are on the same machine and compute nothing.
const ANSWER: Duration = Duration::from_secs(5);

/// The pages of one worker.
pub struct Pages {
    address: String,
}

impl Pages {
    /// An address that was free a moment ago, for `SHANSHUI_HTTP`.
    pub fn reserve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self { address: listener.local_addr().expect("a bound port").to_string() }
    }

    /// Where the worker must serve them.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Status and body of a page, if somebody serves it.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until somebody serves them.
    pub async fn answers(&self) {
        until("pages", async || self.get("/livez")).await;
    }

    /// Waits until the worker says that it is ready.
    pub async fn ready(&self) {
        until("readiness", async || self.get("/readyz").filter(|(status, _)| *status == 200)).await;
    }

    /// Waits until the worker says that it is not ready, with a reason that holds `text`.
    pub async fn unready(&self, text: &str) -> String {
        let there = |answer: &(u16, String)| answer.0 == 503 && answer.1.contains(text);
        let found =
            until(&format!("a readiness that names {text:?}"), async || self.get("/readyz").filter(there)).await;
        found.1
    }

    /// A number of `/metrics`; `series` is the name with its labels. 0 for one that is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }
}
