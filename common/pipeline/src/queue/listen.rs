//! Events for many listeners: one subscription for all jobs, and single events of the stream.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::Value;

use super::Queue;
use super::raw::Ask;
use crate::event::{Envelope, KEPT_KINDS};
use crate::job::JobId;

/// Largest announcement of a worker, in bytes.
const ANNOUNCEMENT: usize = 16 << 10;

/// An event that the stream keeps.
#[derive(Debug, Clone)]
pub struct KeptEvent {
    /// Its sequence in the stream of events.
    pub sequence: u64,
    /// What it tells.
    pub envelope: Envelope,
    /// The CloudEvent as it was published.
    pub payload: Bytes,
}

/// News of one job.
#[derive(Debug, Clone)]
pub struct News {
    /// The job.
    pub job: JobId,
    /// The event itself if the stream does not keep it; else it is to be read there.
    pub passing: Option<Bytes>,
}

impl Queue {
    /// News of all jobs from now on. What comes while the connection is down is missing.
    pub async fn news(&self) -> anyhow::Result<impl Stream<Item = News> + Send + Unpin + use<>> {
        let news = self.client.subscribe(self.names.any_event("*")).await?;
        Ok(news.filter_map(|message| std::future::ready(heard(&message))))
    }

    /// All events of all jobs from now on, as they are told. For people who watch: anybody who may publish
    /// events may have told them, and what comes while the connection is down is missing.
    pub async fn told(&self) -> anyhow::Result<impl Stream<Item = Envelope> + Send + Unpin + use<>> {
        let news = self.client.subscribe(self.names.any_event("*")).await?;
        let read = |message: async_nats::Message| serde_json::from_slice::<Envelope>(&message.payload).ok();
        Ok(news.filter_map(move |message| std::future::ready(read(message))))
    }

    /// What workers say of themselves from now on: stage, worker, and the rest.
    ///
    /// # Errors
    /// NATS is away.
    pub async fn announcements(&self) -> anyhow::Result<impl Stream<Item = Value> + Send + Unpin + use<>> {
        let announced = self.client.subscribe(self.names.worker("*", "*")).await?;
        let read = |message: async_nats::Message| {
            let small = message.payload.len() <= ANNOUNCEMENT;
            std::future::ready(small.then(|| serde_json::from_slice(&message.payload).ok()).flatten())
        };
        Ok(announced.filter_map(read))
    }

    /// The first event of a job behind `sequence`, if there is one that this version knows.
    pub async fn event_after(&self, job: &JobId, sequence: u64) -> anyhow::Result<Option<KeptEvent>> {
        let (subject, mut from) = (self.names.event(job, ">"), sequence.saturating_add(1));
        while let Some(message) = self.next("EVENTS", &subject, from).await? {
            if let Some(envelope) = Envelope::read(&message.payload, job) {
                return Ok(Some(KeptEvent { sequence: message.sequence, envelope, payload: message.payload }));
            }
            from = message.sequence.saturating_add(1);
        }
        Ok(None)
    }

    /// The last event of a job, if this version knows it.
    pub async fn newest_event(&self, job: &JobId) -> anyhow::Result<Option<KeptEvent>> {
        let subject = self.names.event(job, ">");
        let last = self.read(&self.names.stream("EVENTS"), Ask::Last { last_by_subj: &subject }).await?;
        Ok(last.and_then(|message| {
            let envelope = Envelope::read(&message.payload, job)?;
            Some(KeptEvent { sequence: message.sequence, envelope, payload: message.payload })
        }))
    }

    /// Whether a run of the job began behind `sequence`.
    pub async fn has_run_after(&self, job: &JobId, sequence: u64) -> anyhow::Result<bool> {
        Ok(self.last_event(job, "accepted").await?.is_some_and(|(last, _)| last > sequence))
    }

    /// What was told first of jobs, `queued` or `accepted`, newest first: at most `most` of the events that
    /// lie before sequence `before`. Of one job several may come.
    pub async fn jobs_before(&self, before: Option<u64>, most: usize) -> anyhow::Result<Vec<KeptEvent>> {
        let stream = self.context.get_stream(self.names.stream("EVENTS")).await?;
        let (first, last) = (stream.cached_info().state.first_sequence, stream.cached_info().state.last_sequence);
        let mut end = before.unwrap_or(u64::MAX).min(last + 1);
        // Most jobs have about six events. The stream can only be read forwards.
        let (mut width, mut found) = (8 * most as u64, Vec::new());
        while found.len() < most && end > first.max(1) {
            let start = end.saturating_sub(width).max(first).max(1);
            let mut part = self.begun_within(start, end).await?;
            if part.is_empty() {
                width *= 2;
            }
            part.reverse();
            found.extend(part);
            end = start;
        }
        found.truncate(most);
        Ok(found)
    }

    async fn begun_within(&self, from: u64, end: u64) -> anyhow::Result<Vec<KeptEvent>> {
        let mut all = self.told_within("accepted", from, end).await?;
        all.extend(self.told_within("queued", from, end).await?);
        all.sort_by_key(|event| event.sequence);
        Ok(all)
    }

    async fn told_within(&self, kind: &str, mut from: u64, end: u64) -> anyhow::Result<Vec<KeptEvent>> {
        let (subject, mut all) = (self.names.any_event(kind), Vec::new());
        while let Some(message) = self.next("EVENTS", &subject, from).await?
            && message.sequence < end
        {
            from = message.sequence + 1;
            let job = message.subject.split('.').nth(2).and_then(|job| JobId::parse("job", job).ok());
            let envelope = job.and_then(|job| Envelope::read(&message.payload, &job));
            all.extend(envelope.map(|envelope| KeptEvent {
                sequence: message.sequence,
                envelope,
                payload: message.payload,
            }));
        }
        Ok(all)
    }
}

fn heard(message: &async_nats::Message) -> Option<News> {
    let mut tokens = message.subject.split('.').skip(2);
    let job = JobId::parse("job", tokens.next()?).ok()?;
    if tokens.next().is_some_and(|kind| KEPT_KINDS.contains(&kind)) {
        return Some(News { job, passing: None });
    }
    Envelope::read(&message.payload, &job)?;
    Some(News { job, passing: Some(message.payload.clone()) })
}
