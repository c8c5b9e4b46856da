//! How a job ends: what lies in the bucket first, then the last word, then the event.

use serde_json::{Value, json};

use crate::code::Code;
use crate::event::{Envelope, Event};
use crate::events::Events;
use crate::job::JobId;
use crate::queue::{End, Queue};
use crate::store::{ObjectKey, Store};

/// Tells the end of one run of a job. Every step may be repeated.
pub(crate) struct Ending<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) store: &'a Store,
    pub(crate) events: &'a Events,
    pub(crate) job: &'a JobId,
    pub(crate) run: u32,
    /// Its lane, where that is known.
    pub(crate) lane: Option<&'a str>,
}

impl Ending<'_> {
    /// The last word that `event` would be.
    pub(crate) fn word(&self, event: &Event) -> Envelope {
        event.word(self.job, self.events.source())
    }

    /// Ends the job with this word, unless another one was told: then that one counts. Who watches
    /// only the bucket learns of every end: a job that is done has its receipt, all others get
    /// `end.json` here.
    pub(crate) async fn tell(&self, own: &Envelope) -> anyhow::Result<()> {
        let told = self.decide(own).await?;
        self.announce(own, &told).await
    }

    /// The first half of that: what the last word is.
    pub(crate) async fn decide(&self, own: &Envelope) -> anyhow::Result<Envelope> {
        if !matches!(own.data, Event::Done { .. }) {
            let key = ObjectKey::End { job: self.job, run: self.run };
            self.store.put(&key, object(self.job, &own.data).to_string().into()).await?;
        }
        self.queue.tell_end((self.job, self.run), self.lane, own).await
    }

    /// The second half: tells the last word to those who follow the job.
    pub(crate) async fn announce(&self, own: &Envelope, told: &Envelope) -> anyhow::Result<()> {
        if told == own { Ok(self.events.publish(self.job, &told.data).await?) } else { self.repeat(told).await }
    }

    /// Somebody has ended the job. That worker may have died before it told those who follow.
    pub(crate) async fn tell_again(&self) -> anyhow::Result<()> {
        match self.queue.end_of(self.job, self.run).await? {
            End::Told(told) => self.repeat(&told).await,
            End::Open => Ok(()),
        }
    }

    async fn repeat(&self, told: &Envelope) -> anyhow::Result<()> {
        let there = self.queue.last_event(self.job, told.data.kind()).await?;
        if there.is_some_and(|(_, event)| event.is_some_and(|event| event.data == told.data)) {
            return Ok(());
        }
        Ok(self.events.publish(self.job, &told.data).await?)
    }
}

/// The content of `end.json`.
fn object(job: &JobId, event: &Event) -> Value {
    let (stage, code, reason) = match event {
        Event::Failed { stage, code, reason, .. } => (stage.as_str(), Some(*code), Some(reason.as_str())),
        Event::NoSpeech { stage, reason } => (stage.as_str(), Some(Code::NoSpeech), Some(reason.as_str())),
        Event::Canceled { stage } => (stage.as_str(), None, None),
        _ => ("", None, None),
    };
    json!({
        "version": 1, "job": job.as_str(), "end": event.kind(), "stage": stage, "code": code, "reason": reason,
    })
}
