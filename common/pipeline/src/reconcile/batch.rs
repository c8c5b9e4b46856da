//! Reading many messages of a stream with one request (nats-server 2.11, ADR-31).

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::StatusCode;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::names::LANE_HEADER;
use crate::queue::Queue;

/// Messages of one request.
const BATCH: u64 = 512;
/// Longest wait for the next message of a batch.
const WAIT: Duration = Duration::from_secs(5);

/// One message of a batch.
pub(super) struct Read {
    pub(super) sequence: u64,
    pub(super) subject: String,
    /// When the stream took it.
    pub(super) time: OffsetDateTime,
    pub(super) payload: Bytes,
    /// The lane of a job, if the message says it.
    pub(super) lane: Option<String>,
}

impl Read {
    /// A part of its subject, counted from the last one.
    pub(super) fn token_from_end(&self, at: usize) -> Option<&str> {
        self.subject.rsplit('.').nth(at)
    }
}

/// The messages of a stream from sequence `from` on whose subject fits, at most [`BATCH`].
pub(super) async fn read(queue: &Queue, stream: &str, subject: &str, from: u64) -> anyhow::Result<Vec<Read>> {
    let full = queue.names().stream(stream);
    let inbox = queue.client.new_inbox();
    let mut answers = queue.client.subscribe(inbox.clone()).await?;
    let request = json!({ "seq": from, "batch": BATCH, "next_by_subj": subject }).to_string();
    let asked = queue.api(&format!("DIRECT.GET.{full}"));
    queue.client.publish_with_reply(asked, inbox, request.into()).await?;
    let mut all = Vec::new();
    loop {
        let answer = tokio::time::timeout(WAIT, answers.next()).await;
        let answer = answer.ok().flatten().with_context(|| format!("stream {full} does not answer"))?;
        match answer.status {
            None | Some(StatusCode::OK) => all.extend(one(&answer)),
            Some(StatusCode::NO_RESPONDERS) => bail!("stream {full} does not answer"),
            // 404: there is none. 204: that was the last one.
            Some(_) => return Ok(all),
        }
    }
}

fn one(message: &async_nats::Message) -> Option<Read> {
    let header = |name: &str| Some(message.headers.as_ref()?.get(name)?.as_str());
    let sequence = header("Nats-Sequence")?.parse().ok()?;
    let time = OffsetDateTime::parse(header("Nats-Time-Stamp")?, &Rfc3339).ok()?;
    let (subject, lane) = (header("Nats-Subject")?.to_owned(), header(LANE_HEADER).map(str::to_owned));
    Some(Read { sequence, subject, time, payload: message.payload.clone(), lane })
}
