//! Webhooks: who wants to be told of a job's end, and what is to be told now.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::declare::WEBHOOKS;
use super::raw::Ask;
use super::{Inlet, Outgoing, Queue};
use crate::job::JobId;
use crate::names::JOB_HEADER;

impl Queue {
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
