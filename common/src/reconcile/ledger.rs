//! Which jobs the queues hold.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use async_nats::jetstream::message::StreamMessage;
use futures::{StreamExt, TryStreamExt, stream};

use crate::delivery::name_of;
use crate::job::{AudioJob, JobId, TextJob};
use crate::message::Message;
use crate::queue::Queue;
use crate::queue::names::JOB_HEADER;
use crate::queue::raw::Ask;
use crate::wire;

/// Messages read at a time.
const READERS: usize = 16;

/// Job names by queue and place. A message never changes, so each is read once.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: HashMap<(&'static str, u64), JobId>,
}

impl Ledger {
    /// The jobs whose messages lie in one of the streams `AUDIO` and `TEXT` now.
    pub(super) async fn waiting(&mut self, queue: &Queue, name: &'static str) -> anyhow::Result<HashSet<JobId>> {
        let full = queue.names().stream(name);
        let (created, there) = places(queue, &full).await.with_context(|| format!("cannot read stream {full}"))?;
        self.known.retain(|(stream, place), _| *stream != name || there.contains(place));
        let unknown = there.into_iter().filter(|place| !self.known.contains_key(&(name, *place)));
        let read = stream::iter(unknown.collect::<Vec<_>>()).map(|place| {
            let full = &full;
            async move {
                let message = message_at(queue, full, place).await?;
                anyhow::Ok(message.map(|message| (place, job_of(name, full, created, &message))))
            }
        });
        let read: Vec<Option<(u64, JobId)>> = read.buffer_unordered(READERS).try_collect().await?;
        self.known.extend(read.into_iter().flatten().map(|(place, job)| ((name, place), job)));
        Ok(self.known.iter().filter(|((stream, _), _)| *stream == name).map(|(_, job)| job.clone()).collect())
    }
}

/// When a stream was made (Unix nanoseconds), and its places that hold a message.
async fn places(queue: &Queue, full: &str) -> anyhow::Result<(i128, HashSet<u64>)> {
    let stream = queue.context.get_stream_no_info(full).await?;
    let info = stream.info_builder().with_deleted(true).fetch().await?.info;
    let (created, state) = (info.created.unix_timestamp_nanos(), info.state);
    if state.messages == 0 {
        return Ok((created, HashSet::new()));
    }
    let gone: HashSet<u64> = state.deleted.unwrap_or_default().into_iter().collect();
    let there = (state.first_sequence..=state.last_sequence).filter(|place| !gone.contains(place));
    Ok((created, there.collect()))
}

/// The message at a place, unless it has gone meanwhile.
pub(super) async fn message_at(queue: &Queue, full: &str, place: u64) -> anyhow::Result<Option<StreamMessage>> {
    queue.read(full, Ask::At { seq: place }).await
}

/// The name of the job in a message of the stream `name` (`full` with its prefix).
pub(super) fn job_of(name: &str, full: &str, created: i128, message: &StreamMessage) -> JobId {
    if name == "AUDIO" { named::<AudioJob>(full, created, message) } else { named::<TextJob>(full, created, message) }
}

fn named<M: Message>(full: &str, created: i128, message: &StreamMessage) -> JobId {
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
    let decoded = wire::decode::<M>(header("Content-Type"), message.payload.clone());
    let own = decoded.as_ref().ok().and_then(|job| job.common().id.as_ref());
    let derived = || JobId::of_message(full, created, message.sequence);
    name_of(own, header(JOB_HEADER), derived).unwrap_or_else(|(job, _)| job)
}
