//! Cancels: on a stream of their own, where they cannot keep an event from being told.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::Value;

use super::declare::CANCEL_BYTES;
use super::{Outgoing, Queue};
use crate::job::JobId;
use crate::names::ANY_LANE;

impl Queue {
    /// Cancels a job, wherever it is.
    pub async fn cancel(&self, job: &JobId) -> anyhow::Result<()> {
        self.publish_cancel(job, self.names.cancel(job.as_str())).await
    }

    /// Cancels a job if it is in this lane.
    pub async fn cancel_in(&self, job: &JobId, lane: &str) -> anyhow::Result<()> {
        self.publish_cancel(job, self.names.cancel_in(job.as_str(), lane)).await
    }

    async fn publish_cancel(&self, job: &JobId, subject: String) -> anyhow::Result<()> {
        let message_id = format!("{job}/cancel/{:016x}", rand::random::<u64>());
        let outgoing = Outgoing { subject, message_id, headers: HeaderMap::new(), payload: Bytes::new() };
        self.publish(outgoing).await.map(drop)
    }

    /// Whether somebody has canceled the job who may: whoever is bound to a lane only cancels there.
    pub async fn is_canceled(&self, job: &JobId, lane: &str) -> anyhow::Result<bool> {
        let (subject, mut from) = (self.names.cancel_in(job.as_str(), "*"), 1);
        while let Some(message) = self.next("CANCELS", &subject, from).await? {
            let meant = message.subject.rsplit('.').next().is_some_and(|own| [ANY_LANE, lane].contains(&own));
            if meant && is_cancel(Some(&message.headers), &message.payload) {
                return Ok(true);
            }
            from = message.sequence + 1;
        }
        Ok(false)
    }
}

/// Whether a message on a job's cancel subject is a cancel: empty, a short text, or an object with
/// nothing but `reason`. A client can have the server answer on any subject, with the server's own
/// rights: such an answer is an object with other fields, or has headers of the server's.
pub(crate) fn is_cancel(headers: Option<&HeaderMap>, payload: &[u8]) -> bool {
    let by_server = |headers: &HeaderMap| {
        ["Nats-Stream", "Nats-Sequence", "Status"].iter().any(|name| headers.get(*name).is_some())
    };
    if headers.is_some_and(by_server) || payload.len() > CANCEL_BYTES as usize {
        return false;
    }
    match serde_json::from_slice(payload) {
        Ok(Value::Object(fields)) => fields.keys().all(|field| field == "reason"),
        _ => !payload.starts_with(b"+") && std::str::from_utf8(payload).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_sender_means_is_a_cancel() {
        for cancel in ["", "stop", "{\"reason\":\"changed my mind\"}", "{}", "[1]", "7"] {
            assert!(is_cancel(None, cancel.as_bytes()), "{cancel}");
        }
        let answers = [
            "{\"stream\":\"TEXT\",\"seq\":5}",
            "{\"type\":\"io.nats.jetstream.api.v1.stream_msg_get_response\",\"error\":{\"code\":404}}",
            "+OK {\"x\":1}",
        ];
        for answer in answers {
            assert!(!is_cancel(None, answer.as_bytes()), "{answer}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Stream", "TEXT");
        assert!(!is_cancel(Some(&headers), b""));
        assert!(!is_cancel(None, &[b'x'; 5000]) && !is_cancel(None, b"\xff"));
    }
}
