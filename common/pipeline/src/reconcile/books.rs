//! What the audit has read so far: it counts on from there.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::HeaderMap;
use serde::{Deserialize, Serialize};

use super::batch;
use crate::event::{Envelope, Event};
use crate::job::JobId;
use crate::queue::{Outgoing, Queue};

/// Largest state that is kept between two processes, in bytes.
const MAX_STATE: usize = 1 << 20;

/// The sums of all jobs, and the jobs that have not ended. Its size is that of the open jobs, however
/// many have ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Books {
    /// Last sequences that were read, of `EVENTS` and of `ENDS`.
    events: u64,
    ends: u64,
    /// Runs of jobs that were accepted.
    pub(super) accepted: usize,
    /// Runs that ended, by how.
    pub(super) ended: BTreeMap<String, usize>,
    /// Runs that have not ended.
    pub(super) open: BTreeSet<(String, u32)>,
    /// Ends that were read before their acceptance.
    early: BTreeSet<(String, u32)>,
    /// Jobs that are done and whose objects nobody has looked for yet.
    pub(super) unseen: BTreeSet<String>,
}

impl Books {
    /// Goes on where the last reconciler stopped.
    pub(super) async fn load(queue: &Queue) -> anyhow::Result<Self> {
        let (stream, subject) = (queue.names().stream("STATE"), queue.names().state("audit"));
        let last = queue.read(&stream, crate::queue::raw::Ask::Last { last_by_subj: &subject }).await?;
        Ok(last.and_then(|message| serde_json::from_slice(&message.payload).ok()).unwrap_or_default())
    }

    /// Keeps what was read for the next process. More than fits is not kept: it is only read again.
    pub(super) async fn keep(&self, queue: &Queue) -> anyhow::Result<()> {
        let payload = serde_json::to_vec(self)?;
        if payload.len() > MAX_STATE.min(queue.max_payload()) {
            return Ok(());
        }
        let message_id = format!("audit/{}/{}/{:08x}", self.events, self.ends, rand::random::<u32>());
        let (subject, headers) = (queue.names().state("audit"), HeaderMap::new());
        queue.publish(Outgoing { subject, message_id, headers, payload: payload.into() }).await.map(drop)
    }

    /// Reads what was accepted since the last time.
    pub(super) async fn read_accepted(&mut self, queue: &Queue) -> anyhow::Result<()> {
        if queue.last_sequence("EVENTS").await? < self.events || queue.last_sequence("ENDS").await? < self.ends {
            // The streams were made anew.
            *self = Self::default();
        }
        let subject = queue.names().any_event("accepted");
        loop {
            let read = batch::read(queue, "EVENTS", &subject, self.events + 1).await?;
            let Some(last) = read.last() else { return Ok(()) };
            self.events = last.sequence;
            for message in &read {
                if let Some((job, Event::Accepted { run, .. })) = event(&message.subject, 1, &message.payload) {
                    self.accept(job, run);
                }
            }
        }
    }

    /// Reads what has ended since the last time.
    pub(super) async fn read_ends(&mut self, queue: &Queue) -> anyhow::Result<()> {
        let subject = queue.names().ended("*", "*");
        loop {
            let read = batch::read(queue, "ENDS", &subject, self.ends + 1).await?;
            let Some(last) = read.last() else { return Ok(()) };
            self.ends = last.sequence;
            for message in &read {
                let run = message.subject.rsplit('.').next().and_then(|run| run.parse().ok());
                if let (Some((job, end)), Some(run)) = (event(&message.subject, 1, &message.payload), run) {
                    self.end(job, run, end.kind());
                }
            }
        }
    }

    fn accept(&mut self, job: JobId, run: u32) {
        let key = (job.to_string(), run);
        if !self.early.remove(&key) && self.open.insert(key) {
            self.accepted += 1;
        }
    }

    pub(super) fn end(&mut self, job: JobId, run: u32, kind: &str) {
        let key = (job.to_string(), run);
        if !self.open.remove(&key) {
            // Accepted after the acceptances were read, or never: its name alone was told.
            if !self.early.insert(key) {
                return;
            }
            self.accepted += 1;
        }
        *self.ended.entry(kind.to_owned()).or_default() += 1;
        if kind == "done" {
            self.unseen.insert(job.to_string());
        }
    }

    /// Forgets ends whose acceptance cannot come any more.
    pub(super) fn settle(&mut self, before: &Self) {
        self.early.retain(|key| !before.early.contains(key));
    }
}

/// The event in a message, and the job that its subject names, `from_end` tokens before the last.
fn event(subject: &str, from_end: usize, payload: &[u8]) -> Option<(JobId, Event)> {
    let job = JobId::parse("job", subject.rsplit('.').nth(from_end)?).ok()?;
    let envelope = Envelope::read(payload, &job)?;
    Some((job, envelope.data))
}
