//! Everything that is kept of a job, removed: recording, transcript, pictures, events, dead letters.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::ledger::{job_of, message_at, sequences};
use crate::event::Event;
use crate::job::JobId;
use crate::key::ObjectKey;
use crate::names::REPLAY_HEADER;
use crate::queue::Queue;
use crate::store::Store;

/// Largest receipt that is read, in bytes.
const MAX_RECEIPT: u64 = 16 << 20;
/// Objects, and jobs, removed together.
const HANDS: usize = 8;

/// What was removed of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The job.
    pub job: String,
    /// Objects of the bucket.
    pub objects: usize,
    /// Messages of `EVENTS`, `ENDS`, `CANCELS` and `WEBHOOKS`.
    pub events: u64,
    /// Messages of `DEAD`.
    pub letters: usize,
    /// Messages of queues that nobody will work on.
    pub queued: usize,
}

/// Whether a job may be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its last run has ended.
    Ended,
    /// This run of it waits or is in work.
    Open(u32),
    /// No event and no queue knows it; its objects may be there.
    Unknown,
}

/// Erases jobs. It looks once at DEAD and at the queues, so it is made for one pass over some jobs.
#[derive(Debug)]
pub struct Eraser<'a> {
    queue: &'a Queue,
    store: &'a Store,
    recordings: bool,
    lane: Option<String>,
    letters: HashMap<JobId, Vec<u64>>,
    waiting: HashMap<JobId, Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    stream: String,
    sequence: u64,
    run: u32,
}

impl<'a> Eraser<'a> {
    /// Looks at DEAD and at every message that waits. With `recordings` a recording goes as well that the
    /// receipt of a job names by another key than the job's own; other jobs may name it, too.
    ///
    /// # Errors
    /// A stream cannot be read.
    pub async fn prepare(queue: &'a Queue, store: &'a Store, recordings: bool) -> anyhow::Result<Self> {
        let (lane, letters, waiting) = (None, HashMap::new(), HashMap::new());
        Self { queue, store, recordings, lane, letters, waiting }.looked().await
    }

    /// The same for somebody who has one lane: dead letters, messages of queues and webhooks of other lanes
    /// stay, whatever job they name. Recordings that a job names by another key stay, too.
    ///
    /// # Errors
    /// As [`Eraser::prepare`].
    pub async fn prepare_in(queue: &'a Queue, store: &'a Store, lane: Option<&str>) -> anyhow::Result<Self> {
        let (lane, letters, waiting) = (lane.map(str::to_owned), HashMap::new(), HashMap::new());
        Self { queue, store, recordings: false, lane, letters, waiting }.looked().await
    }

    async fn looked(self) -> anyhow::Result<Self> {
        let (queue, mut eraser) = (self.queue, self);
        let (subject, mut from) = (queue.names().dead("*", eraser.lane.as_deref().unwrap_or("*")), 1);
        while let Some(message) = queue.next("DEAD", &subject, from).await? {
            from = message.sequence + 1;
            let job = job_of("DEAD", 0, &message);
            eraser.letters.entry(job).or_default().push(message.sequence);
        }
        for step in queue.steps() {
            eraser.look_at(&step.stream()).await?;
        }
        Ok(eraser)
    }

    async fn look_at(&mut self, stream: &str) -> anyhow::Result<()> {
        let full = self.queue.names().stream(stream);
        let (created, there) = sequences(self.queue, &full).await?;
        for sequence in there {
            let Some(message) = message_at(self.queue, &full, sequence).await? else { continue };
            let lane = message.subject.split('.').nth(2);
            if self.lane.as_deref().is_some_and(|own| lane != Some(own)) {
                continue;
            }
            let run = message.headers.get(REPLAY_HEADER).and_then(|run| run.as_str().parse().ok()).unwrap_or(0);
            let waiting = Waiting { stream: stream.to_owned(), sequence, run };
            self.waiting.entry(job_of(&full, created, &message)).or_default().push(waiting);
        }
        Ok(())
    }

    /// Whether a job has ended.
    ///
    /// # Errors
    /// A stream cannot be read.
    pub async fn standing(&self, job: &JobId) -> anyhow::Result<Standing> {
        let accepted = self.queue.last_event(job, "accepted").await?;
        let accepted = accepted.and_then(|(_, event)| match event?.data {
            Event::Accepted { run, .. } => Some(run),
            _ => None,
        });
        let waiting = self.waiting.get(job).into_iter().flatten().map(|waiting| waiting.run).max();
        let Some(run) = accepted.max(waiting) else {
            let ended = self.queue.ending(job).await?.is_some();
            return Ok(if ended { Standing::Ended } else { Standing::Unknown });
        };
        Ok(if self.queue.has_ended(job, run).await? { Standing::Ended } else { Standing::Open(run) })
    }

    /// Whether this user of NATS may erase at all, found out by erasing what an ended job needs no more: its
    /// cancels. Else its objects would be gone before the first refusal.
    ///
    /// # Errors
    /// NATS refuses or is away.
    pub async fn may(&self, job: &JobId) -> anyhow::Result<()> {
        self.queue.purge("CANCELS", &self.queue.names().cancel_in(job.as_str(), "*")).await.map(drop)
    }

    /// Removes everything of a job that has ended; what is gone already is no error. The last word goes
    /// last: until then the job is found again if this breaks off.
    ///
    /// # Errors
    /// A stream or the bucket cannot be changed.
    pub async fn erase(&self, job: &JobId) -> anyhow::Result<Erased> {
        let names = self.queue.names();
        let mut erased = Erased { job: job.to_string(), objects: self.erase_objects(job).await?, ..Erased::default() };
        for sequence in self.letters.get(job).into_iter().flatten() {
            erased.letters += usize::from(self.queue.remove("DEAD", *sequence).await?);
        }
        for Waiting { stream, sequence, .. } in self.waiting.get(job).into_iter().flatten() {
            erased.queued += usize::from(self.queue.remove(stream, *sequence).await?);
        }
        erased.events += self.queue.purge("CANCELS", &names.cancel_in(job.as_str(), "*")).await?;
        let lane = self.lane.as_deref().unwrap_or("*");
        for webhooks in [names.webhook(job.as_str()), names.webhook_in(lane, job.as_str())] {
            erased.events += self.queue.purge("WEBHOOKS", &webhooks).await?;
        }
        erased.events += self.queue.purge("EVENTS", &names.event(job, ">")).await?;
        erased.events += self.queue.purge("ENDS", &names.ended(job.as_str(), "*")).await?;
        Ok(erased)
    }

    /// Erases those of the jobs that have ended, several at a time.
    pub(super) async fn erase_ended(&self, jobs: &[JobId]) -> anyhow::Result<Vec<Erased>> {
        let each = stream::iter(jobs).map(async |job| match self.standing(job).await? {
            Standing::Ended => self.erase(job).await.map(Some),
            Standing::Open(_) | Standing::Unknown => Ok(None),
        });
        each.buffered(HANDS).try_filter_map(async |erased| Ok(erased)).try_collect().await
    }

    async fn erase_objects(&self, job: &JobId) -> anyhow::Result<usize> {
        let own = [ObjectKey::Audio(job).path()];
        let named = if self.recordings { self.named_recordings(job).await? } else { Vec::new() };
        let mut paths = self.store.below(&format!("jobs/{job}/")).await?;
        for path in own.into_iter().chain(named) {
            if self.store.is_there(&path).await? {
                paths.push(path);
            }
        }
        let count = paths.len();
        let each = stream::iter(paths.into_iter().map(anyhow::Ok));
        each.try_for_each_concurrent(HANDS, async |path| Ok(self.store.erase(&path).await?)).await?;
        Ok(count)
    }

    /// Recordings that the receipt names.
    async fn named_recordings(&self, job: &JobId) -> anyhow::Result<Vec<String>> {
        let receipt = ObjectKey::Receipt(job).path();
        if !self.store.is_there(&receipt).await? {
            return Ok(Vec::new());
        }
        let receipt = self.store.get(&receipt, MAX_RECEIPT).await?;
        let receipt: serde_json::Value = serde_json::from_slice(&receipt).unwrap_or_default();
        let keys = receipt["objects"].as_array().into_iter().flatten().filter_map(|object| object["key"].as_str());
        let own = ObjectKey::Audio(job).path();
        Ok(keys.filter(|key| key.starts_with("audio/") && **key != *own).map(str::to_owned).collect())
    }
}
