//! The story of a job, from its events.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::Subscriber;
use async_nats::jetstream::message::StreamMessage;
use futures::future::try_join_all;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};

use super::Queue;
use super::names::MESSAGE_ID;
use super::raw::Ask;
use crate::event::{Envelope, Event, FINAL_KINDS, final_id};
use crate::job::JobId;

/// An event, if this version knows it.
type Known = Option<Envelope>;

/// How often an event is looked for whose announcement was lost with the link.
const LOOK: Duration = Duration::from_secs(2);
/// Failed looks, over a link that is up, after which following ends.
const FAILURES: u32 = 5;

impl Queue {
    /// All events of a job from the first one; ends after the final one.
    pub async fn follow(
        &self,
        job: &JobId,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Envelope>> + Send + Unpin + use<>> {
        let subject = self.names.event(job, ">");
        // Listening before looking: nothing falls between the two.
        let news = self.client.subscribe(subject.clone()).await?;
        let follower = Follower { queue: self.clone(), subject, from: 1, news, failures: 0 };
        let until_end = stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            let item = follower.next().await;
            let rest = (!is_end(&item)).then_some(follower);
            Some((item, rest))
        });
        Ok(until_end.boxed())
    }

    /// The events of a job that are there now, oldest first.
    pub async fn history(&self, job: &JobId) -> anyhow::Result<Vec<Envelope>> {
        self.told_on(&self.names.event(job, ">")).await
    }

    async fn told_on(&self, subject: &str) -> anyhow::Result<Vec<Envelope>> {
        let (mut all, mut from) = (Vec::new(), 1);
        while let Some(message) = self.next("EVENTS", subject, from).await? {
            from = message.sequence + 1;
            all.extend(parse(&message.subject, &message.payload));
        }
        Ok(all)
    }

    /// Whether a job has its final event, for the run after `replay` ways out of DEAD.
    pub async fn has_ended(&self, job: &JobId, replay: u32) -> anyhow::Result<bool> {
        let Some(last) = self.last_final(job).await? else { return Ok(false) };
        let id = last.headers.get(MESSAGE_ID).map_or("", |id| id.as_str());
        Ok(replay == 0 || id == final_id(job, replay))
    }

    /// How many deliveries of the message at `place` of a stage's stream ended through no fault of its
    /// job. Reads one event at a time: a reader (consumer) for every redelivery would use up the server's
    /// limit of them.
    pub(crate) async fn releases(&self, job: &JobId, stage: &str, place: u64) -> anyhow::Result<u64> {
        let history = self.told_on(&self.names.event(job, "released")).await?;
        let released = |event: &Envelope| match &event.data {
            Event::Released { stage: at, message, delivery, .. } if at == stage && *message == place => Some(*delivery),
            _ => None,
        };
        // A publication without an answer is sent again, and may be there twice.
        Ok(history.iter().filter_map(released).collect::<HashSet<_>>().len() as u64)
    }

    /// Whether the last event on `subject` is the one with this message id: JetStream itself
    /// remembers ids for a quarter of an hour only.
    pub(crate) async fn is_told(&self, subject: &str, message_id: &str) -> anyhow::Result<bool> {
        let last = self.last(subject).await?;
        Ok(last.is_some_and(|last| last.headers.get(MESSAGE_ID).is_some_and(|id| id.as_str() == message_id)))
    }

    /// The final event of a job, of its last run if it has several.
    pub async fn ending(&self, job: &JobId) -> anyhow::Result<Option<Envelope>> {
        let last = self.last_final(job).await?;
        Ok(last.and_then(|message| parse(&message.subject, &message.payload)))
    }

    /// How often each kind of event was told, job by job.
    pub(crate) async fn told(&self) -> anyhow::Result<HashMap<JobId, HashMap<String, usize>>> {
        let name = self.names.stream("EVENTS");
        let stream = self.context.get_stream_no_info(&name).await?;
        let subjects = stream.info_with_subjects(self.names.all("events")).await;
        let mut subjects = subjects.with_context(|| format!("cannot read stream {name}"))?;
        let mut told: HashMap<JobId, HashMap<String, usize>> = HashMap::new();
        while let Some((subject, count)) = subjects.try_next().await? {
            let mut tokens = subject.rsplit('.');
            let (Some(kind), Some(job)) = (tokens.next(), tokens.next()) else { continue };
            // Anybody may publish: what is no name of a job is no job.
            let Ok(job) = JobId::parse("job", job) else { continue };
            told.entry(job).or_default().insert(kind.to_owned(), count);
        }
        Ok(told)
    }

    /// Whether somebody has taken the job back.
    pub async fn is_canceled(&self, job: &JobId) -> anyhow::Result<bool> {
        Ok(self.last(&self.names.cancel(job.as_str())).await?.is_some())
    }

    /// Asks for each kind: the last event of all may be a word after the end, from a worker that
    /// was stopped or cut off meanwhile.
    async fn last_final(&self, job: &JobId) -> anyhow::Result<Option<StreamMessage>> {
        let subjects = FINAL_KINDS.map(|kind| self.names.event(job, kind));
        let found = try_join_all(subjects.iter().map(|subject| self.last(subject))).await?;
        Ok(found.into_iter().flatten().max_by_key(|message| message.sequence))
    }

    async fn last(&self, subject: &str) -> anyhow::Result<Option<StreamMessage>> {
        self.read(&self.names.stream("EVENTS"), Ask::Last { last_by_subj: subject }).await
    }

    /// The first message of a stream from place `from` on whose subject fits.
    ///
    /// Read one by one rather than through a consumer: this needs no right to make consumers, which
    /// cannot be narrowed to readers alone, and a lost link leaves nothing to be made anew.
    pub(crate) async fn next(&self, stream: &str, subject: &str, from: u64) -> anyhow::Result<Option<StreamMessage>> {
        self.read(&self.names.stream(stream), Ask::Next { seq: from, next_by_subj: subject }).await
    }
}

/// The events of one job as they come.
struct Follower {
    queue: Queue,
    subject: String,
    /// Place after the last event that was read.
    from: u64,
    /// Says that there is something to read; what it is lies on the stream.
    news: Subscriber,
    failures: u32,
}

impl Follower {
    async fn next(&mut self) -> anyhow::Result<Envelope> {
        loop {
            while let Some(Some(_)) = self.news.next().now_or_never() {}
            match self.queue.next("EVENTS", &self.subject, self.from).await {
                Ok(Some(message)) => {
                    (self.from, self.failures) = (message.sequence + 1, 0);
                    match parse(&message.subject, &message.payload) {
                        Some(event) => return Ok(event),
                        None => continue,
                    }
                }
                Ok(None) => {}
                // A link that is down comes back, and so does a server that is starting.
                Err(error) => {
                    self.failures += u32::from(self.queue.is_connected());
                    if self.failures > FAILURES {
                        return Err(error);
                    }
                }
            }
            let _ = tokio::time::timeout(LOOK, self.news.next()).await;
        }
    }
}

fn is_end(item: &anyhow::Result<Envelope>) -> bool {
    item.as_ref().map_or(true, |envelope| envelope.data.is_final())
}

/// A newer worker, or anybody else, may have said what this version does not know: that must not
/// hold up a job.
fn parse(subject: &str, payload: &[u8]) -> Known {
    let parsed = serde_json::from_slice(payload);
    parsed.inspect_err(|error| tracing::debug!(subject, %error, "an unknown event")).ok()
}
