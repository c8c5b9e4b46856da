//! Webhooks: who wants to be told of a job's end, and what is to be told now.

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use bytes::Bytes;

use super::declare::WEBHOOKS;
use super::levels::age;
use super::raw::Ask;
use super::{Inlet, Outgoing, Queue};
use crate::job::JobId;
use crate::names::JOB_HEADER;

/// What receivers are still to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookLevel {
    /// Ends that no try told yet.
    pub waiting: u64,
    /// Ends that are told now, or wait for another try.
    pub in_work: u64,
    /// Whole seconds since the oldest of them, 0 without one.
    pub oldest_seconds: u64,
}

impl Queue {
    /// Measures what receivers are still to be told.
    ///
    /// # Errors
    /// NATS is away, or the consumer is missing.
    pub async fn webhook_level(&self) -> anyhow::Result<WebhookLevel> {
        let (stream, consumer) = WEBHOOKS;
        let subject = format!("CONSUMER.INFO.{}.{consumer}", self.names.stream(stream));
        let info = self.info(&subject, ErrorCode::CONSUMER_NOT_FOUND).await?;
        let info = info.with_context(|| format!("consumer {consumer} on {stream} is missing"))?;
        let number = |field: &str| info[field].as_u64().unwrap_or(0);
        let (waiting, in_work) = (number("num_pending"), number("num_ack_pending"));
        if waiting + in_work == 0 {
            return Ok(WebhookLevel::default());
        }
        // Everything up to the floor was heard, and what comes first behind it was not.
        let behind = info["ack_floor"]["stream_seq"].as_u64().unwrap_or(0) + 1;
        let oldest = self.next(stream, &self.names.webhook_in("*", "*"), behind).await?;
        Ok(WebhookLevel { waiting, in_work, oldest_seconds: oldest.map_or(0, |oldest| age(oldest.time)) })
    }

    /// Keeps what somebody wants to be told of a job's end, unless something is kept already; returns
    /// what is kept.
    ///
    /// # Errors
    /// NATS is away, or the stream is missing or full.
    pub async fn want_webhook(&self, job: &JobId, wish: Bytes) -> anyhow::Result<Bytes> {
        let outgoing = Outgoing {
            subject: self.names.webhook(job.as_str()),
            message_id: String::new(),
            headers: HeaderMap::new(),
            payload: wish.clone(),
        };
        if self.publish_after(0, outgoing).await? {
            return Ok(wish);
        }
        Ok(self.wanted_webhook(job).await?.unwrap_or(wish))
    }

    /// What somebody wants to be told of a job's end.
    ///
    /// # Errors
    /// NATS is away.
    pub async fn wanted_webhook(&self, job: &JobId) -> anyhow::Result<Option<Bytes>> {
        let (stream, subject) = (self.names.stream(WEBHOOKS.0), self.names.webhook(job.as_str()));
        let message = self.read(&stream, Ask::Last { last_by_subj: &subject }).await?;
        Ok(message.map(|message| message.payload))
    }

    /// Queues what is to be told of the end of a run of a job.
    ///
    /// # Errors
    /// NATS is away, or the stream is full.
    pub async fn queue_webhook(&self, lane: &str, (job, run): (&JobId, u32), payload: Bytes) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(JOB_HEADER, job.as_str());
        let (subject, message_id) = (self.names.webhook_in(lane, job.as_str()), format!("{job}/webhook/{run}"));
        self.publish_surely(Outgoing { subject, message_id, headers, payload }).await
    }

    /// Removes what has been told, by its sequence, and with `of` who wanted to be told of that job: the stream
    /// has room for those that are still to be told.
    ///
    /// # Errors
    /// NATS is away, or refuses.
    pub async fn forget_webhook(&self, told: u64, of: Option<&JobId>) -> anyhow::Result<()> {
        self.remove(WEBHOOKS.0, told).await?;
        let Some(job) = of else { return Ok(()) };
        let (stream, subject) = (self.names.stream(WEBHOOKS.0), self.names.webhook(job.as_str()));
        if let Some(wish) = self.read(&stream, Ask::Last { last_by_subj: &subject }).await? {
            self.remove(WEBHOOKS.0, wish.sequence).await?;
        }
        Ok(())
    }

    /// The ends of jobs, and what is to be told, for whoever tells it.
    ///
    /// # Errors
    /// A stream or a consumer is missing, or NATS refuses.
    pub async fn webhook_inlets(&self) -> anyhow::Result<[Inlet; 2]> {
        let (stream, consumer) = WEBHOOKS;
        Ok([self.inlet("ENDS", consumer, "").await?, self.inlet(stream, consumer, "").await?])
    }
}
