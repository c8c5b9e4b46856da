//! Ends the jobs that JetStream gave up on: no job dies silently.

use std::collections::HashSet;

use anyhow::Context as _;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::message::StreamMessage;

use super::advisory::{Advisory, Kind};
use super::ledger::{job_of, message_at};
use crate::event::Event;
use crate::events::Events;
use crate::job::JobId;
use crate::queue::names::{JOB_HEADER, REPLAY_HEADER, SPENT_HEADER};
use crate::queue::streams::{RECONCILE, STAGES};
use crate::queue::{Grave, Original, Outgoing, Queue, pull as pulling};

/// Reads advisories from their durable consumer: what came while no mover ran is not lost.
#[derive(Debug)]
pub struct Mover {
    queue: Queue,
    consumer: Consumer<pull::Config>,
    attempts: u64,
}

/// Stage and place of messages that one more sweep decides on.
#[derive(Debug, Default)]
pub struct Suspects(HashSet<(&'static str, u64)>);

/// The message that an advisory is about.
struct Exhausted<'a> {
    stage: &'static str,
    /// Stream, with its prefix.
    full: &'a str,
    message: StreamMessage,
    job: JobId,
    replay: u32,
    deliveries: u64,
}

impl Mover {
    /// `attempts`: how many a job has at each stage, as its workers count them.
    ///
    /// # Errors
    /// The stream `ADVISORIES` or its consumer is missing.
    pub async fn start(queue: &Queue, attempts: u64) -> anyhow::Result<Self> {
        let stream = queue.names().stream("ADVISORIES");
        let consumer = queue.context.get_consumer_from_stream(RECONCILE, &stream).await;
        let hint = || format!("consumer {RECONCILE} on {stream} is missing; run `shanshui streams apply`");
        Ok(Self { queue: queue.clone(), consumer: consumer.with_context(hint)?, attempts })
    }

    /// Waits a second for one advisory and deals with it; says whether there was one.
    ///
    /// # Errors
    /// NATS is away or refuses; the advisory comes again.
    pub async fn step(&self) -> anyhow::Result<bool> {
        let Some(message) = pulling::one(&self.consumer).await? else { return Ok(false) };
        match Advisory::parse(&message.payload) {
            Ok(advisory) => self.deal_with(&advisory).await?,
            Err(error) => tracing::error!(error = format!("{error:#}"), "an advisory cannot be read"),
        }
        message.double_ack_with(AckKind::Ack).await.map_err(anyhow::Error::from_boxed)?;
        Ok(true)
    }

    /// Deals with messages that nobody gets any more and of which no advisory tells: those below the
    /// place up to which everything was delivered and is in nobody's hands. A server that is killed
    /// may bring acknowledged messages back, and may lose an advisory. A message counts when it is found twice, because
    /// one that is being acknowledged looks the same for a moment. Returns how many are suspected.
    ///
    /// # Errors
    /// NATS is away or refuses.
    pub async fn sweep(&self, suspects: &mut Suspects) -> anyhow::Result<usize> {
        let mut stranded = HashSet::new();
        for (name, kind, stage) in STAGES {
            let full = self.queue.names().stream(name);
            let consumer = self.queue.context.get_consumer_from_stream::<pull::Config, _, _>(stage, &full).await;
            let consumer = consumer.with_context(|| format!("cannot read consumer {stage} on {full}"))?;
            let info = consumer.cached_info();
            // With nothing in work, whatever was delivered and still lies there is stranded.
            let floor = if info.num_ack_pending == 0 { &info.delivered } else { &info.ack_floor }.stream_sequence;
            let (subject, mut from) = (self.queue.names().job(kind, "*"), 1);
            while let Some(message) = self.queue.next(name, &subject, from).await?.filter(|it| it.sequence <= floor) {
                from = message.sequence + 1;
                if suspects.0.contains(&(stage, message.sequence)) {
                    self.deal_with_stranded(name, stage, message).await?;
                } else {
                    stranded.insert((stage, message.sequence));
                }
            }
        }
        suspects.0 = stranded;
        Ok(suspects.0.len())
    }

    async fn deal_with_stranded(&self, name: &str, stage: &'static str, message: StreamMessage) -> anyhow::Result<()> {
        let full = &self.queue.names().stream(name);
        let stream = self.queue.context.get_stream(full).await.with_context(|| format!("cannot read stream {full}"))?;
        let job = job_of(name, full, stream.cached_info().created.unix_timestamp_nanos(), &message);
        let replay = replay_of(&message);
        tracing::warn!(%job, stage, place = message.sequence, "a message that nobody would get any more");
        let it = Exhausted { stage, full, message, job, replay, deliveries: 0 };
        // Nothing says that it failed, and the job may be at its next stage: never buried from here.
        if !self.queue.has_ended(&it.job, it.replay).await? {
            self.queue_again(&it, spent(&it.message)).await?;
        }
        self.remove(&it).await
    }

    async fn deal_with(&self, advisory: &Advisory) -> anyhow::Result<()> {
        let Advisory { kind, stream: full, consumer, stream_seq: place, deliveries } = advisory;
        let names = self.queue.names();
        let of_ours = |(stream, _, stage): &&(&str, &str, &str)| names.stream(stream) == *full && stage == consumer;
        let Some((name, _, stage)) = STAGES.iter().find(of_ours) else { return Ok(()) };
        let stream = self.queue.context.get_stream(full).await.with_context(|| format!("cannot read stream {full}"))?;
        let created = stream.cached_info().created.unix_timestamp_nanos();
        if *kind == Kind::Terminated {
            // Our own workers end no message in this way. A job that has a name of its own cannot be
            // told from the place alone: the audit names it.
            tracing::error!(stream = full, place, "somebody terminated a message");
            let job = JobId::of_message(full, created, *place);
            return self.end_terminated(stage, &job, *deliveries).await;
        }
        let Some(message) = message_at(&self.queue, full, *place).await? else { return Ok(()) };
        let job = job_of(name, full, created, &message);
        let replay = replay_of(&message);
        self.deal_with_exhausted(&Exhausted { stage, full, message, job, replay, deliveries: *deliveries }).await
    }

    /// Buries it, or queues it again where outages used up its deliveries; only then it goes.
    async fn deal_with_exhausted(&self, it: &Exhausted<'_>) -> anyhow::Result<()> {
        if !self.queue.has_ended(&it.job, it.replay).await? {
            let released = self.queue.releases(&it.job, it.stage, it.message.sequence).await?;
            let attempts = spent(&it.message) + it.deliveries.saturating_sub(released);
            if attempts < self.attempts {
                self.queue_again(it, attempts).await?;
            } else {
                self.bury(it, attempts).await?;
            }
        }
        self.remove(it).await
    }

    async fn remove(&self, it: &Exhausted<'_>) -> anyhow::Result<()> {
        let stream = self.queue.context.get_stream_no_info(it.full).await?;
        stream.delete_message(it.message.sequence).await.context("cannot delete a message that is dealt with")?;
        Ok(())
    }

    async fn queue_again(&self, it: &Exhausted<'_>, spent: u64) -> anyhow::Result<()> {
        tracing::warn!(job = %it.job, stage = it.stage, "queued again: no worker gave this job up");
        let mut headers = it.message.headers.clone();
        headers.insert(JOB_HEADER, it.job.as_str());
        headers.insert(SPENT_HEADER, spent.to_string());
        let (subject, payload) = (it.message.subject.to_string(), it.message.payload.clone());
        let message_id = format!("{}/again/{}/{}", it.job, it.stage, it.message.sequence);
        self.queue.publish(Outgoing { subject, message_id, headers, payload }).await.map(drop)
    }

    async fn bury(&self, it: &Exhausted<'_>, attempts: u64) -> anyhow::Result<()> {
        let reason = format!("{} deliveries ended without a word from their workers", it.deliveries);
        tracing::error!(job = %it.job, stage = it.stage, reason, "job buried in DEAD");
        let (job, sequence) = (it.job.as_str(), it.message.sequence);
        let grave = Grave { stage: it.stage, job, worker: RECONCILE, reason: &reason, attempts, sequence };
        let StreamMessage { subject, headers, payload, .. } = &it.message;
        self.queue.bury(&grave, &Original { subject, headers: Some(headers), payload }).await?;
        let event = Event::Failed { stage: it.stage.into(), reason, attempts };
        Ok(self.events(it.stage, it.replay).publish(&it.job, &event).await?)
    }

    async fn end_terminated(&self, stage: &str, job: &JobId, attempts: u64) -> anyhow::Result<()> {
        let history = self.queue.history(job).await?;
        if history.is_empty() || history.iter().any(|event| event.data.is_final()) {
            return Ok(());
        }
        let reason = "its message was terminated by hand".to_owned();
        let event = Event::Failed { stage: stage.into(), reason, attempts };
        Ok(self.events(stage, 0).publish(job, &event).await?)
    }

    fn events(&self, stage: &str, replay: u32) -> Events {
        Events::new(self.queue.clone(), stage, RECONCILE, replay)
    }
}

fn spent(message: &StreamMessage) -> u64 {
    message.headers.get(SPENT_HEADER).and_then(|text| text.as_str().parse().ok()).unwrap_or(0)
}

fn replay_of(message: &StreamMessage) -> u32 {
    message.headers.get(REPLAY_HEADER).and_then(|text| text.as_str().parse().ok()).unwrap_or(0)
}
