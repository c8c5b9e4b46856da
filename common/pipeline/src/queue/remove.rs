//! Removing messages for good: for people who want their data gone, and for what need not be kept.

use anyhow::Context as _;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Queue;

#[derive(Deserialize)]
struct Purged {
    purged: u64,
}

impl Queue {
    /// Removes every message of a stream whose subject fits; says how many. A stream that an older version
    /// did not make has none.
    pub(crate) async fn purge(&self, stream: &str, subject: &str) -> anyhow::Result<u64> {
        let full = self.names.stream(stream);
        let cannot = || format!("cannot remove messages from stream {full}");
        let answer = self.ask(&format!("STREAM.PURGE.{full}"), &json!({ "filter": subject })).await;
        match answer.with_context(cannot)? {
            Response::Ok(Purged { purged }) => Ok(purged),
            Response::Err { error } if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(0),
            Response::Err { error } => Err(error).with_context(cannot),
        }
    }

    /// Removes one message, its bytes overwritten; says whether it was there.
    pub(crate) async fn remove(&self, stream: &str, sequence: u64) -> anyhow::Result<bool> {
        let full = self.names.stream(stream);
        let cannot = || format!("cannot remove message {sequence} from stream {full}");
        let answer = self.ask(&format!("STREAM.MSG.DELETE.{full}"), &json!({ "seq": sequence })).await;
        match answer.with_context(cannot)? {
            Response::Ok::<Value>(_) => Ok(true),
            // 400 with the text of the store: there is no error code of its own for a message that has gone.
            Response::Err { error } if error.to_string().contains("no message found") => Ok(false),
            Response::Err { error } => Err(error).with_context(cannot),
        }
    }
}
