//! Publishes the events of jobs.

use async_nats::HeaderMap;

use crate::event::{Envelope, Event};
use crate::failure::{Failure, OrFailure};
use crate::job::JobId;
use crate::queue::{Outgoing, Queue};
use crate::trace::TraceContext;

/// Speaks for one worker, about one run of a job.
#[derive(Debug, Clone)]
pub struct Events {
    queue: Queue,
    source: String,
    run: u32,
    trace: Option<TraceContext>,
}

/// What telling that a job was accepted brought to light.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// Nobody has seen the job before.
    First,
    /// This very job was accepted before.
    Again,
    /// Another job has this name.
    NameUsed,
}

impl Events {
    /// `stage` and `worker` become the source of every event; `run` counts how often the job
    /// came back from DEAD.
    pub fn new(queue: Queue, stage: &str, worker: &str, run: u32) -> Self {
        Self { queue, source: format!("/shanshui/{stage}/{worker}"), run, trace: None }
    }

    /// The same for events of an attempt that has a place in a trace.
    pub(crate) fn within(self, trace: &TraceContext) -> Self {
        Self { trace: Some(trace.clone()), ..self }
    }

    /// Who speaks, as a URI reference.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Publishes an event and waits until the stream has it.
    ///
    /// # Errors
    /// An event larger than the server takes is a [`Failure::Reject`], all else an outage.
    pub async fn publish(&self, job: &JobId, event: &Event) -> Result<(), Failure> {
        let outgoing = self.outgoing(job, event);
        self.queue.fits(&outgoing)?;
        if event.identity().is_some() {
            self.queue.publish_surely(outgoing).await.or_outage()
        } else {
            self.queue.publish(outgoing).await.map(drop).or_outage()
        }
    }

    /// Publishes an event that may be lost, as progress may.
    pub async fn mention(&self, job: &JobId, event: &Event) {
        let payload = event.told(job, &self.source, self.trace.as_ref()).json();
        let subject = self.queue.names().event(job, event.kind());
        if let Err(error) = self.queue.client.publish(subject, payload.into()).await {
            tracing::debug!(%error, "an event was not sent");
        }
    }

    /// Publishes an event if nothing has been told of the job; says whether it did.
    ///
    /// # Errors
    /// As [`Events::publish`].
    pub async fn publish_first(&self, job: &JobId, event: &Event) -> Result<bool, Failure> {
        let filter = self.queue.names().event(job, ">");
        self.queue.publish_first(&filter, self.outgoing(job, event)).await.or_outage()
    }

    /// Tells that the job is accepted, and learns from it whether it is new: the stream takes the
    /// event only if there is none on its subject.
    pub(crate) async fn accept(&self, job: &JobId, event: &Event) -> Result<Acceptance, Failure> {
        let mut last = 0;
        loop {
            if self.queue.publish_after(last, self.outgoing(job, event)).await.or_outage()? {
                return Ok(Acceptance::First);
            }
            match self.queue.last_event(job, event.kind()).await.or_outage()? {
                Some((_, Some(before))) if self.is_this_run(&before, event) => return Ok(self.compared(&before, event)),
                // An earlier run, or what is no event of this job.
                Some((sequence, _)) if sequence != last => last = sequence,
                _ => return Err(anyhow::anyhow!("the event accepted does not stay on its stream")).or_outage(),
            }
        }
    }

    fn is_this_run(&self, before: &Envelope, event: &Event) -> bool {
        let run = |event: &Event| match event {
            Event::Accepted { run, .. } => Some(*run),
            _ => None,
        };
        run(&before.data) >= run(event)
    }

    fn compared(&self, before: &Envelope, event: &Event) -> Acceptance {
        match (&before.data, event) {
            (Event::Accepted { digest: old, stage: one, .. }, Event::Accepted { digest: new, stage: other, .. })
                if !old.is_empty() && (old != new || one != other) =>
            {
                Acceptance::NameUsed
            }
            _ => Acceptance::Again,
        }
    }

    fn outgoing(&self, job: &JobId, event: &Event) -> Outgoing {
        let told = event.told(job, &self.source, self.trace.as_ref());
        let message_id = match event.identity() {
            Some(identity) => format!("{job}/{identity}/{}", self.run),
            None => told.id.clone(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json");
        self.trace.iter().for_each(|trace| trace.carry(|name, value| headers.insert(name, value)));
        let subject = self.queue.names().event(job, event.kind());
        Outgoing { subject, message_id, headers, payload: told.json().into() }
    }
}
