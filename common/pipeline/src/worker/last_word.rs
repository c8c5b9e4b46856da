//! The ways in which an attempt ends its job.

use serde_json::{Value, json};

use super::attempt::Attempt;
use crate::code::Code;
use crate::ending::Ending;
use crate::event::Event;
use crate::made::Made;
use crate::queue::Burial;
use crate::store::ObjectKey;

impl Attempt {
    /// The job is complete: its receipt is written last, and then its end is told.
    pub(super) async fn complete(&self, made: Made) -> anyhow::Result<()> {
        let all = self.made_with(made);
        let mut receipt = Made::receipt(&all);
        receipt.insert("version".into(), 2.into());
        receipt.insert("job".into(), self.job.as_str().into());
        receipt.insert("labels".into(), json!(self.known.labels));
        let body = Value::Object(receipt).to_string();
        // The stage has done its part, whatever comes of the receipt: the disk takes both at the same time.
        self.events.mention(&self.job, &self.finished(Made::digest(&all))).await;
        let (store, key) = (&self.shared.ends, ObjectKey::Receipt(&self.job));
        let stored = self.until_done("write the receipt", || store.put(&key, body.clone().into())).await?;
        let event = Event::Done { stage: self.stage().into(), key: Some(stored.key), seconds: self.seconds() };
        self.end_and(event, || self.slot.free()).await
    }

    /// Tells the end of the job, and acknowledges the message.
    pub(super) async fn end(&self, event: Event) -> anyhow::Result<()> {
        self.end_and(event, || {}).await
    }

    /// The same; `decided` is called when the last word stands.
    async fn end_and(&self, event: Event, decided: impl FnOnce()) -> anyhow::Result<()> {
        let ending = self.ending();
        let own = ending.word(&event);
        let told = self.until_done("publish the end", || ending.decide(&own)).await?;
        decided();
        self.until_done("publish the end", || ending.announce(&own, &told)).await?;
        self.acknowledge().await
    }

    /// Somebody else has ended the job.
    pub(super) async fn told_before(&self) -> anyhow::Result<()> {
        let ending = self.ending();
        self.until_done("publish the end", || ending.tell_again()).await?;
        self.acknowledge().await
    }

    pub(super) async fn bury(&self, code: Code, reason: &str) -> anyhow::Result<()> {
        tracing::error!(code = code.as_str(), reason, "job buried in DEAD");
        self.copy_to_dead(code, reason).await?;
        let (stage, reason, attempts) = (self.stage().into(), reason.into(), self.number);
        self.end(Event::Failed { stage, code, reason, attempts }).await
    }

    /// Another job under a name that is in use: it ends nothing of the first one's.
    pub(super) async fn refuse(&self) -> anyhow::Result<()> {
        let reason = "another job has this name; give every job a name of its own";
        tracing::error!(reason, "job refused");
        self.copy_to_dead(Code::NameUsed, reason).await?;
        let (stage, message) = (self.stage().into(), self.delivery.sequence);
        let event = Event::Refused { stage, code: Code::NameUsed, reason: reason.into(), message };
        self.until_done("publish an event", || self.events.publish(&self.job, &event)).await?;
        self.acknowledge().await
    }

    fn ending(&self) -> Ending<'_> {
        let (queue, store) = (&self.shared.env.queue, &self.shared.ends);
        let lane = Some(self.delivery.lane());
        Ending { queue, store, events: &self.events, job: &self.job, run: self.run(), lane }
    }

    async fn copy_to_dead(&self, code: Code, reason: &str) -> anyhow::Result<()> {
        let burial = Burial {
            stage: self.stage(),
            job: self.job.as_str(),
            worker: &self.shared.name,
            code,
            reason,
            attempts: self.number,
            sequence: self.delivery.sequence,
        };
        let (queue, original) = (&self.shared.env.queue, self.delivery.original());
        self.until_done("bury the job", || queue.bury(&burial, &original)).await
    }
}
