//! Which jobs the queues hold.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use async_nats::jetstream::message::StreamMessage;
use futures::{StreamExt, TryStreamExt, stream};

use crate::delivery::named;
use crate::job::JobId;
use crate::queue::raw::Ask;
use crate::queue::{Queue, Wait};
use crate::step::Step;

/// Messages read at a time.
const READERS: usize = 16;
/// Most bytes of a queue that are read to find one job.
const SEARCHED: u64 = 64 << 20;

/// Job names by stage and sequence. A message never changes, so each is read once.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: HashMap<(&'static str, u64), JobId>,
}

impl Ledger {
    /// The jobs whose messages lie in the queue of a step now.
    pub(super) async fn waiting(&mut self, queue: &Queue, step: &'static Step) -> anyhow::Result<HashSet<JobId>> {
        let (full, stage) = (queue.names().stream(&step.stream()), step.stage);
        let (created, there) = sequences(queue, &full).await.with_context(|| format!("cannot read stream {full}"))?;
        self.known.retain(|(at, sequence), _| *at != stage || there.contains(sequence));
        let unknown = there.into_iter().filter(|sequence| !self.known.contains_key(&(stage, *sequence)));
        let read = stream::iter(unknown.collect::<Vec<_>>()).map(|sequence| {
            let full = &full;
            async move {
                let message = message_at(queue, full, sequence).await?;
                anyhow::Ok(message.map(|message| (sequence, job_of(full, created, &message))))
            }
        });
        let read: Vec<Option<(u64, JobId)>> = read.buffer_unordered(READERS).try_collect().await?;
        self.known.extend(read.into_iter().flatten().map(|(sequence, job)| ((stage, sequence), job)));
        Ok(self.known.iter().filter(|((at, _), _)| *at == stage).map(|(_, job)| job.clone()).collect())
    }
}

/// Where a job waits, if it waits and is found. Reads every job of the queues that hold
/// up to 64 MiB, so it needs the right to.
pub async fn waiting(queue: &Queue, job: &JobId) -> anyhow::Result<Option<Wait>> {
    match lying(queue).await?.get(job) {
        Some((step, sequence)) => queue.wait_of(step, *sequence).await,
        None => Ok(None),
    }
}

/// Every job that lies in a queue, with the step and the sequence; reads as much as [`waiting`].
pub async fn lying(queue: &Queue) -> anyhow::Result<HashMap<JobId, (&'static Step, u64)>> {
    let mut all = HashMap::new();
    // The first queue that has a job counts.
    for step in queue.steps().iter().rev() {
        let stream = queue.context.get_stream(queue.names().stream(&step.stream())).await?;
        if stream.cached_info().state.bytes > SEARCHED {
            continue;
        }
        let mut ledger = Ledger::default();
        ledger.waiting(queue, step).await?;
        all.extend(ledger.known.into_iter().map(|((_, sequence), job)| (job, (step, sequence))));
    }
    Ok(all)
}

/// When a stream was made (Unix nanoseconds), and the sequences that hold a message.
pub(super) async fn sequences(queue: &Queue, full: &str) -> anyhow::Result<(i128, HashSet<u64>)> {
    let stream = queue.context.get_stream_no_info(full).await?;
    let info = stream.info_builder().with_deleted(true).fetch().await?.info;
    let (created, state) = (info.created.unix_timestamp_nanos(), info.state);
    if state.messages == 0 {
        return Ok((created, HashSet::new()));
    }
    let gone: HashSet<u64> = state.deleted.unwrap_or_default().into_iter().collect();
    let there = (state.first_sequence..=state.last_sequence).filter(|sequence| !gone.contains(sequence));
    Ok((created, there.collect()))
}

/// The message with a sequence, unless it has gone meanwhile.
pub(super) async fn message_at(queue: &Queue, full: &str, sequence: u64) -> anyhow::Result<Option<StreamMessage>> {
    queue.read(full, Ask::At { seq: sequence }).await
}

/// The name of the job in a message of the stream `full` (with its prefix).
pub(super) fn job_of(full: &str, created: i128, message: &StreamMessage) -> JobId {
    let derived = || JobId::of_message(full, created, message.sequence);
    named(Some(&message.headers), &message.payload, derived).job
}
