//! Ends the jobs that JetStream gave up on: no job dies silently.

use std::collections::HashSet;

use anyhow::Context as _;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::message::StreamMessage;

use super::advisory::{Advisory, Kind};
use super::ledger::{job_of, message_at};
use crate::causes::causes;
use crate::code::Code;
use crate::ending::Ending;
use crate::event::Event;
use crate::events::Events;
use crate::job::JobId;
use crate::names::{self, DEFAULT_POOL, JOB_HEADER, REPLAY_HEADER, SPENT_HEADER};
use crate::queue::{Burial, Original, Outgoing, Queue, RECONCILE, inlet};
use crate::step::Step;
use crate::store::Store;

/// Reads advisories from their durable consumer: what came while nobody read is not lost.
#[derive(Debug)]
pub struct Rescuer {
    queue: Queue,
    store: Store,
    consumer: Consumer<pull::Config>,
    attempts: u64,
}

/// Messages that nobody gets any more, as far as one look can tell: stage and sequence.
#[derive(Debug, Default)]
pub struct Stranded(HashSet<(&'static str, u64)>);

/// The message that an advisory is about.
struct Exhausted<'a> {
    step: &'static Step,
    /// Stream, with its prefix.
    full: &'a str,
    message: StreamMessage,
    job: JobId,
    run: u32,
    deliveries: u64,
}

impl Rescuer {
    /// `attempts`: how many a job has at each stage, as its workers count them.
    ///
    /// # Errors
    /// The stream `ADVISORIES` or its consumer is missing.
    pub async fn start(queue: &Queue, store: &Store, attempts: u64) -> anyhow::Result<Self> {
        let stream = queue.names().stream("ADVISORIES");
        let consumer = queue.context.get_consumer_from_stream(RECONCILE, &stream).await;
        let hint = || format!("consumer {RECONCILE} on {stream} is missing; run `shanshui streams apply`");
        let consumer = consumer.with_context(hint)?;
        Ok(Self { queue: queue.clone(), store: store.clone(), consumer, attempts })
    }

    /// Waits a second for one advisory and deals with it; says whether there was one.
    ///
    /// # Errors
    /// NATS or the store is away or refuses; the advisory comes again.
    pub async fn step(&self) -> anyhow::Result<bool> {
        let Some(message) = inlet::one(&self.consumer).await? else { return Ok(false) };
        match Advisory::parse(&message.payload) {
            Ok(advisory) => self.deal_with(&advisory).await?,
            Err(error) => tracing::error!(error = causes(&error), "skipped an advisory that cannot be read"),
        }
        message.double_ack_with(AckKind::Ack).await.map_err(anyhow::Error::from_boxed)?;
        Ok(true)
    }

    /// Deals with messages that nobody gets any more and of which no advisory tells: those below the
    /// sequence up to which everything was delivered and is in nobody's hands. A server that is killed
    /// may bring acknowledged messages back, and may lose an advisory. A message counts when it is found
    /// twice, because one that is being acknowledged looks the same for a moment. Returns how many are
    /// suspected.
    ///
    /// # Errors
    /// NATS is away or refuses.
    pub async fn sweep(&self, stranded: &mut Stranded) -> anyhow::Result<usize> {
        let mut found = HashSet::new();
        for step in self.queue.steps() {
            let pools = self.queue.pools(step).await?;
            let pools = std::iter::once(DEFAULT_POOL).chain(pools.iter().map(String::as_str));
            for pool in pools {
                for (name, partition) in names::consumers(step.stage, pool) {
                    let filter = self.queue.names().filter(step.queue, pool, partition);
                    self.sweep_consumer((step, &name, &filter), stranded, &mut found).await?;
                }
            }
        }
        stranded.0 = found;
        Ok(stranded.0.len())
    }

    async fn sweep_consumer(
        &self,
        (step, name, filter): (&'static Step, &str, &str),
        before: &Stranded,
        found: &mut HashSet<(&'static str, u64)>,
    ) -> anyhow::Result<()> {
        let full = self.queue.names().stream(&step.stream());
        let consumer = self.queue.context.get_consumer_from_stream::<pull::Config, _, _>(name, &full).await;
        let consumer = consumer.with_context(|| format!("cannot read consumer {name} on {full}"))?;
        let info = consumer.cached_info();
        // With nothing in work, whatever was delivered and still lies there is stranded.
        let floor = if info.num_ack_pending == 0 { &info.delivered } else { &info.ack_floor }.stream_sequence;
        let mut from = 1;
        while let Some(message) = self.queue.next(&step.stream(), filter, from).await?.filter(|it| it.sequence <= floor)
        {
            from = message.sequence + 1;
            if before.0.contains(&(step.stage, message.sequence)) {
                self.deal_with_stranded(step, message).await?;
            } else {
                found.insert((step.stage, message.sequence));
            }
        }
        Ok(())
    }

    async fn deal_with_stranded(&self, step: &'static Step, message: StreamMessage) -> anyhow::Result<()> {
        let full = &self.queue.names().stream(&step.stream());
        let job = job_of(full, self.created(full).await?, &message);
        let run = run_of(&message);
        tracing::warn!(%job, stage = step.stage, sequence = message.sequence, "stranded message: no consumer delivers it any more; rescuing it");
        let it = Exhausted { step, full, message, job, run, deliveries: 0 };
        // Nothing says that it failed, and the job may be at its next stage: never buried from here.
        if !self.queue.has_ended(&it.job, it.run).await? {
            self.queue_again(&it, spent(&it.message)).await?;
        }
        self.remove(&it).await
    }

    async fn deal_with(&self, advisory: &Advisory) -> anyhow::Result<()> {
        let Advisory { kind, stream: full, stream_seq: sequence, deliveries, .. } = advisory;
        let of_ours = |step: &&Step| self.queue.names().stream(&step.stream()) == *full;
        let Some(step) = self.queue.steps().iter().find(of_ours) else { return Ok(()) };
        let created = self.created(full).await?;
        if *kind == Kind::Terminated {
            // Our own workers end no message in this way. A job that has a name of its own cannot be
            // told from the sequence alone: the audit names it.
            tracing::error!(stream = full, sequence, "somebody terminated a message");
            let job = JobId::of_message(full, created, *sequence);
            return self.end_terminated(step, &job, *deliveries).await;
        }
        let Some(message) = message_at(&self.queue, full, *sequence).await? else { return Ok(()) };
        let (job, run) = (job_of(full, created, &message), run_of(&message));
        self.deal_with_exhausted(&Exhausted { step, full, message, job, run, deliveries: *deliveries }).await
    }

    async fn created(&self, full: &str) -> anyhow::Result<i128> {
        let stream = self.queue.context.get_stream(full).await.with_context(|| format!("cannot read stream {full}"))?;
        Ok(stream.cached_info().created.unix_timestamp_nanos())
    }

    /// Buries it, or queues it again where outages used up its deliveries; only then it goes.
    async fn deal_with_exhausted(&self, it: &Exhausted<'_>) -> anyhow::Result<()> {
        if !self.queue.has_ended(&it.job, it.run).await? {
            let released = self.queue.releases(&it.job, it.step.stage, it.message.sequence).await?;
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
        stream.delete_message(it.message.sequence).await.context("cannot delete a rescued message from its queue")?;
        Ok(())
    }

    async fn queue_again(&self, it: &Exhausted<'_>, spent: u64) -> anyhow::Result<()> {
        tracing::warn!(job = %it.job, stage = it.step.stage, "job queued again: outages used up its deliveries, not its attempts");
        let mut headers = it.message.headers.clone();
        headers.insert(JOB_HEADER, it.job.as_str());
        headers.insert(SPENT_HEADER, spent.to_string());
        let subject = self.queue.names().published(&it.message.subject);
        let message_id = format!("{}/again/{}/{}", it.job, it.step.stage, it.message.sequence);
        self.queue.publish_surely(Outgoing { subject, message_id, headers, payload: it.message.payload.clone() }).await
    }

    async fn bury(&self, it: &Exhausted<'_>, attempts: u64) -> anyhow::Result<()> {
        let reason = format!("the worker died or lost its lease {} times", it.deliveries);
        let (code, stage) = (Code::WorkerLost, it.step.stage);
        tracing::error!(job = %it.job, stage, reason, "job buried in DEAD");
        let (job, sequence) = (it.job.as_str(), it.message.sequence);
        let burial = Burial { stage, job, worker: RECONCILE, code, reason: &reason, attempts, sequence };
        let StreamMessage { subject, headers, payload, .. } = &it.message;
        self.queue.bury(&burial, &Original { subject, headers: Some(headers), payload }).await?;
        let lane = Some(names::lane(subject));
        self.end((&it.job, it.run), lane, Event::Failed { stage: stage.into(), code, reason, attempts }).await
    }

    async fn end_terminated(&self, step: &Step, job: &JobId, attempts: u64) -> anyhow::Result<()> {
        if self.queue.history(job).await?.is_empty() || self.queue.has_ended(job, 0).await? {
            return Ok(());
        }
        let reason = "somebody terminated its message (+TERM)".to_owned();
        let (stage, code) = (step.stage.into(), Code::Terminated);
        self.end((job, 0), None, Event::Failed { stage, code, reason, attempts }).await
    }

    async fn end(&self, (job, run): (&JobId, u32), lane: Option<&str>, event: Event) -> anyhow::Result<()> {
        let events = &Events::new(self.queue.clone(), RECONCILE, RECONCILE, run);
        let ending = Ending { queue: &self.queue, store: &self.store, events, job, run, lane };
        ending.tell(&ending.word(&event)).await
    }
}

fn spent(message: &StreamMessage) -> u64 {
    message.headers.get(SPENT_HEADER).and_then(|text| text.as_str().parse().ok()).unwrap_or(0)
}

fn run_of(message: &StreamMessage) -> u32 {
    message.headers.get(REPLAY_HEADER).and_then(|text| text.as_str().parse().ok()).unwrap_or(0)
}
