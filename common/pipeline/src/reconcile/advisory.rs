//! What JetStream says when it gives up on a message.

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// Longest advisory that is read, in bytes; real ones have about 300.
const MAX_BYTES: usize = 16 * 1024;

/// Which of the two advisories it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// All deliveries are used up; the message lies in its stream, and nobody gets it any more.
    #[serde(rename = "io.nats.jetstream.advisory.v1.max_deliver")]
    MaxDeliveries,
    /// A client ended the message with `+TERM`; it is gone.
    #[serde(rename = "io.nats.jetstream.advisory.v1.terminated")]
    Terminated,
}

/// One advisory, as it lies on the stream `ADVISORIES`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Advisory {
    /// Which one.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Stream of the message.
    pub stream: String,
    /// Consumer that gave up.
    pub consumer: String,
    /// Place of the message in its stream.
    pub stream_seq: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl Advisory {
    /// Reads one.
    ///
    /// # Errors
    /// Anything that is not one of the two, or far too long.
    pub fn parse(payload: &[u8]) -> anyhow::Result<Self> {
        ensure!(payload.len() <= MAX_BYTES, "advisory: {} bytes is not allowed; allowed: {MAX_BYTES}", payload.len());
        serde_json::from_slice(payload).context("not a MAX_DELIVERIES or MSG_TERMINATED advisory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_advisories_are_read_and_others_are_refused() {
        let text = |kind: &str| {
            format!(
                r#"{{"type":"io.nats.jetstream.advisory.v1.{kind}","id":"x","timestamp":"2026-01-01T00:00:00Z",
                "stream":"TEXT","consumer":"paint","stream_seq":7,"deliveries":5,"domain":"d"}}"#
            )
        };
        let read = Advisory::parse(text("max_deliver").as_bytes()).expect("an advisory");
        assert_eq!((read.kind, read.stream_seq, read.deliveries), (Kind::MaxDeliveries, 7, 5));
        assert_eq!(Advisory::parse(text("terminated").as_bytes()).expect("an advisory").kind, Kind::Terminated);
        assert!(Advisory::parse(text("api_audit").as_bytes()).is_err());
        assert!(Advisory::parse(&vec![b' '; MAX_BYTES + 1]).is_err());
    }
}
