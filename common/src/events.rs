//! Publishes the events of jobs.

use async_nats::HeaderMap;

use crate::event::Event;
use crate::failure::{Failure, Verdict};
use crate::job::JobId;
use crate::queue::{Outgoing, Queue};

/// Speaks for one worker, about one run of a job.
#[derive(Debug, Clone)]
pub struct Events {
    queue: Queue,
    source: String,
    replay: u32,
}

impl Events {
    /// `stage` and `worker` become the source of every event; `replay` counts how often the job
    /// came back from DEAD, each time to another final event.
    pub fn new(queue: Queue, stage: &str, worker: &str, replay: u32) -> Self {
        Self { queue, source: format!("/shanshui/{stage}/{worker}"), replay }
    }

    /// Publishes an event and waits until the stream has it.
    ///
    /// # Errors
    /// An event larger than the server takes is a [`Failure::Reject`], all else an outage.
    pub async fn publish(&self, job: &JobId, event: &Event) -> Result<(), Failure> {
        let envelope = event.envelope(job, &self.source);
        let id = event.message_id(job).map(|id| format!("{id}/{}", self.replay));
        let message_id = id.unwrap_or_else(|| envelope["id"].as_str().unwrap_or_default().to_owned());
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json");
        let subject = self.queue.names().event(job, event.kind());
        if event.is_told_once() && self.queue.is_told(&subject, &message_id).await.or_outage()? {
            return Ok(());
        }
        let outgoing = Outgoing { subject, message_id, headers, payload: envelope.to_string().into() };
        self.queue.fits(&outgoing)?;
        self.queue.publish(outgoing).await.map(drop).or_outage()
    }

    /// Publishes an event that may be lost, as progress may.
    pub async fn mention(&self, job: &JobId, event: &Event) {
        let payload = event.envelope(job, &self.source).to_string();
        let subject = self.queue.names().event(job, event.kind());
        if let Err(error) = self.queue.client.publish(subject, payload.into()).await {
            tracing::debug!(%error, "an event was not sent");
        }
    }
}
