//! The story of a job, from its events.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::message::StreamMessage;
use futures::{FutureExt, Stream, StreamExt, stream};

use super::Queue;
use super::raw::Ask;
use crate::event::{Envelope, Event, KEPT_KINDS};
use crate::job::JobId;

/// An event, if this version knows it.
pub(crate) type Known = Option<Envelope>;

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
        let follower = Follower { queue: self.clone(), subject, from: 1, news, passing: None, failures: 0 };
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

    /// The final event of a job, of its last run if it has several.
    pub async fn ending(&self, job: &JobId) -> anyhow::Result<Option<Envelope>> {
        let subject = self.names.ended(job.as_str(), "*");
        let last = self.read(&self.names.stream("ENDS"), Ask::Last { last_by_subj: &subject }).await?;
        Ok(last.and_then(|message| Envelope::read(&message.payload, job)))
    }

    /// The place on `ENDS` of a job's last end.
    pub(crate) async fn last_end(&self, job: &JobId) -> anyhow::Result<Option<u64>> {
        let subject = self.names.ended(job.as_str(), "*");
        let last = self.read(&self.names.stream("ENDS"), Ask::Last { last_by_subj: &subject }).await?;
        Ok(last.map(|message| message.sequence))
    }

    /// The last event of this kind, with its sequence; `None` for what is no event of the job.
    pub(crate) async fn last_event(&self, job: &JobId, kind: &str) -> anyhow::Result<Option<(u64, Known)>> {
        let last = self.last(&self.names.event(job, kind)).await?;
        Ok(last.map(|message| (message.sequence, Envelope::read(&message.payload, job))))
    }

    /// Whether a stage told that it had made what has this digest; `None` if none told anything. `last` is the last
    /// event of this kind.
    pub(crate) async fn vouches(
        &self,
        job: &JobId,
        last: Option<(u64, Known)>,
        digest: &str,
    ) -> anyhow::Result<Option<bool>> {
        let says = |event: &Envelope| matches!(&event.data, Event::Finished { made, .. } if made == digest);
        match last {
            None => Ok(None),
            Some((_, Some(last))) if says(&last) => Ok(Some(true)),
            // Two attempts of one stage may have made different things, and both are the pipeline's.
            Some(_) => Ok(Some(self.told_on(&self.names.event(job, "finished")).await?.iter().any(says))),
        }
    }

    /// The last events of one kind, of all jobs, oldest first; some may be missing among many others.
    ///
    /// # Errors
    /// The stream EVENTS cannot be read.
    pub async fn last_events(&self, kind: &str, most: usize) -> anyhow::Result<Vec<Envelope>> {
        let subject = self.names.any_event(kind);
        let Some(last) = self.last(&subject).await? else { return Ok(Vec::new()) };
        // Most jobs have about six events.
        let (mut from, mut all) = (last.sequence.saturating_sub(8 * most as u64).max(1), Vec::new());
        while all.len() < most
            && let Some(message) = self.next("EVENTS", &subject, from).await?
        {
            from = message.sequence + 1;
            all.extend(parse(&message.subject, &message.payload));
        }
        Ok(all)
    }

    /// Last sequence of a stream, 0 for an empty one.
    pub(crate) async fn last_sequence(&self, stream: &str) -> anyhow::Result<u64> {
        let stream = self.context.get_stream(self.names.stream(stream)).await?;
        Ok(stream.cached_info().state.last_sequence)
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
    /// Sequence after the last event that was read.
    from: u64,
    /// Says that there is something to read, and carries what the stream does not keep.
    news: Subscriber,
    /// The last event that the stream does not keep.
    passing: Known,
    failures: u32,
}

impl Follower {
    async fn next(&mut self) -> anyhow::Result<Envelope> {
        loop {
            while let Some(Some(message)) = self.news.next().now_or_never() {
                self.hear(&message);
            }
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
            if let Some(passing) = self.passing.take() {
                return Ok(passing);
            }
            if let Ok(Some(message)) = tokio::time::timeout(LOOK, self.news.next()).await {
                self.hear(&message);
            }
        }
    }

    fn hear(&mut self, message: &async_nats::Message) {
        let kind = message.subject.rsplit('.').next().unwrap_or_default();
        if !KEPT_KINDS.contains(&kind) {
            self.passing = parse(&message.subject, &message.payload);
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
