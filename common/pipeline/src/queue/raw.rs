//! Reading single messages off a stream, whatever their senders put into the headers.

use anyhow::{Context as _, anyhow};
use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Queue;

/// Which message (JetStream API, `STREAM.MSG.GET`).
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Ask<'a> {
    /// The one at this place.
    At { seq: u64 },
    /// The first one from place `seq` on whose subject fits.
    Next { seq: u64, next_by_subj: &'a str },
    /// The last one on this subject.
    Last { last_by_subj: &'a str },
}

#[derive(Deserialize)]
struct Answer {
    message: Raw,
}

#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl Queue {
    /// One message of a stream (`full`: with its prefix), if it is there.
    ///
    /// A header that is none is left out, where the client's own reader fails: who publishes it must
    /// not keep others from being read.
    pub(crate) async fn read(&self, full: &str, ask: Ask<'_>) -> anyhow::Result<Option<StreamMessage>> {
        let cannot = || format!("cannot read stream {full}");
        let asked = self.ask(&format!("STREAM.MSG.GET.{full}"), &ask).await;
        match asked.with_context(cannot)? {
            Response::Ok(Answer { message }) => message.decode().map(Some).with_context(cannot),
            Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            Response::Err { error } => Err(error).with_context(cannot),
        }
    }
}

impl Raw {
    fn decode(self) -> anyhow::Result<StreamMessage> {
        let bytes = |text: String| BASE64_STANDARD.decode(text).map_err(|_| anyhow!("message {}: no base64", self.seq));
        Ok(StreamMessage {
            subject: self.subject.into(),
            sequence: self.seq,
            headers: headers(&bytes(self.hdrs)?),
            payload: bytes(self.data)?.into(),
            time: OffsetDateTime::parse(&self.time, &Rfc3339)?,
        })
    }
}

/// The headers that are what they should be (NATS ADR-4).
fn headers(block: &[u8]) -> HeaderMap {
    let text = String::from_utf8_lossy(block);
    let mut all = HeaderMap::new();
    for line in text.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse::<HeaderValue>()) {
            all.append(name, value);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s31_only_headers_that_are_none_are_left_out() {
        let all = headers(b"NATS/1.0\r\nA: 1\r\nbad name: 2\r\nA:3\r\nB: x\ry\r\nC: \xe4\r\nnothing\r\n\r\n");
        let values = |name: &str| all.get_all(name).map(|value| value.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (values("A"), values("B"), values("C")),
            (vec!["1".into(), "3".into()], vec![], vec!["\u{fffd}".into()])
        );
    }
}
