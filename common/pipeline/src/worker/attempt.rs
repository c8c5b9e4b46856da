//! One delivery, from the moment it is leased to the moment it is settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmpv::Value;
use tracing::Instrument;

use super::Shared;
use super::settle::Consequence;
use super::slot::Slot;
use crate::code::Code;
use crate::delivery::{Delivery, Named};
use crate::events::Events;
use crate::failure::{Failure, OrFailure};
use crate::fields::FieldError;
use crate::job::JobId;
use crate::lease::{Lease, LeaseTerms};
use crate::made::Made;
use crate::stage::Stage;
use crate::telemetry::{self, InFlight, JobSpan, phase};
use crate::trace::TraceContext;

/// An attempt owns its life: the lease, the events, and the decision what becomes of the message.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) job: JobId,
    /// Counts from 1.
    pub(super) number: u64,
    pub(super) delivery: Delivery,
    pub(super) events: Events,
    pub(super) trace: TraceContext,
    /// The span that caused this attempt.
    parent: Option<u64>,
    pub(super) told: Option<JobSpan>,
    pub(super) lease: Lease,
    /// Its place in the worker.
    pub(super) slot: Slot,
    _leased: InFlight,
    began: Instant,
    /// What kept the attempt from being begun.
    pub(super) obstacle: Option<Obstacle>,
    /// What earlier stages made, and the sender's labels; known once the job is decoded.
    pub(super) known: Known,
}

/// What an attempt learns of its job from the payload.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) made: Vec<Made>,
    pub(super) labels: std::collections::BTreeMap<String, String>,
    /// Attempts that the job has at this stage.
    pub(super) attempts: u64,
}

/// Why an attempt cannot begin.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// Its number could not be found out.
    Away(Failure),
    /// The job's name is wrong.
    Name(FieldError),
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum End {
    /// The job goes on at the next stage, with this payload.
    Next {
        queue: &'static str,
        job: Value,
        made: Made,
    },
    /// The job is complete.
    Complete(Made),
    /// Nobody speaks in the recording.
    NoSpeech(String),
    /// The job belongs to another pool.
    PassOn(String),
    /// Another job has this name.
    NameUsed,
    Canceled,
    AlreadyEnded,
    Failed(Failure),
    /// The work does not stop when told to.
    Hung,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Attempt {
    /// Leases the message, and learns whose it is.
    pub(super) async fn begin(shared: Arc<Shared>, mut delivery: Delivery, slot: Slot) -> Self {
        let terms = LeaseTerms { every: shared.ack_wait / 3, stall: shared.env.options.stall_time() };
        let lease = Lease::hold(&shared.env.queue, delivery.reply(), terms);
        let Named { job, wrong } = delivery.named(&shared.stream, shared.created);
        let parent = delivery.header("traceparent");
        let parent = parent.and_then(|parent| TraceContext::parse(parent, delivery.header("tracestate")));
        // The sender's trace goes on; a job without one starts its own.
        let trace = telemetry::next(parent.as_ref());
        let events = Events::new(shared.env.queue.clone(), shared.stage(), &shared.name, delivery.run());
        let events = events.within(&trace);
        let leased = shared.env.metrics.lease(shared.stage());
        let attempts = shared.env.options.attempts;
        let known = Known { attempts, ..Known::default() };
        let began = Instant::now();
        let mut attempt = Self {
            shared,
            job,
            number: 1,
            delivery,
            events,
            trace,
            parent: parent.map(|parent| parent.span()),
            told: None,
            lease,
            slot,
            _leased: leased,
            began,
            known,
            obstacle: wrong.map(Obstacle::Name),
        };
        match attempt.count().await {
            Ok(number) => attempt.number = number,
            Err(failure) => attempt.obstacle = Some(Obstacle::Away(failure)),
        }
        attempt
    }

    /// The job.
    pub(super) fn job(&self) -> &JobId {
        &self.job
    }

    /// Works on the job and settles it. An error ends the worker.
    pub(super) async fn live<S: Stage>(mut self, stage: &Arc<S>) -> anyhow::Result<Consequence> {
        let Delivery { delivered, waited, .. } = self.delivery;
        let told = JobSpan::new((S::NAME, self.job.as_str(), self.number), &self.trace, self.parent, waited);
        let (span, metrics) = (told.span(), Arc::clone(&self.shared.env.metrics));
        metrics.delivered(S::NAME, delivered, waited, told.exemplar());
        let _busy = metrics.in_flight(S::NAME);
        self.told = Some(told);
        self.work_and_settle(stage).instrument(span).await
    }

    async fn work_and_settle<S: Stage>(mut self, stage: &Arc<S>) -> anyhow::Result<Consequence> {
        let shared = Arc::clone(&self.shared);
        // Before admission looks for a cancel: one that comes while it looks must not be missed.
        let cancel = shared.cancels.watch(&self.job, self.delivery.lane());
        let end = match self.admit::<S>().instrument(phase("admit")).await {
            Ok(job) => self.work(stage, job, &cancel.token).await,
            Err(end) => end,
        };
        self.settle(end).instrument(phase("settle")).await
    }

    /// Hands a message back that nobody has time for; it does not count as an attempt.
    pub(super) async fn hand_back(self) -> anyhow::Result<()> {
        let Delivery { delivered, waited, .. } = self.delivery;
        self.shared.env.metrics.delivered(self.stage(), delivered, waited, None);
        self.settle(End::Failed(Failure::Interrupted)).await.map(drop)
    }

    pub(super) fn stage(&self) -> &'static str {
        self.shared.stage()
    }

    pub(super) fn run(&self) -> u32 {
        self.delivery.run()
    }

    /// Seconds since the message was leased.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Nobody has worked on this message, or on one before it.
    pub(super) fn is_first(&self) -> bool {
        self.delivery.delivered == 1 && self.delivery.spent() == 0 && self.run() == 0
    }

    /// Counts attempts: deliveries less those that ended through no fault of the job, and what was spent
    /// with messages before this one.
    async fn count(&self) -> Result<u64, Failure> {
        let Delivery { delivered, sequence, .. } = self.delivery;
        let spent = self.delivery.spent();
        if delivered == 1 {
            return Ok(spent + 1);
        }
        let released = self.shared.env.queue.releases(&self.job, self.stage(), sequence).await.or_outage()?;
        Ok(spent + delivered.saturating_sub(released).max(1))
    }

    /// Whether another worker has ended the job while this one stood still or was cut off.
    pub(super) async fn is_lost(&self) -> bool {
        if self.lease.is_sure() {
            return false;
        }
        match self.shared.env.queue.has_ended(&self.job, self.run()).await {
            Ok(true) => true,
            Ok(false) => {
                self.lease.trust();
                false
            }
            Err(_) => false,
        }
    }

    /// Longest time that this attempt may go without progress.
    pub(super) fn stall(&self) -> Duration {
        self.shared.env.options.stall_time()
    }
}

/// All attempts ended without a word from their workers.
pub(super) fn worker_lost(attempts: u64) -> Failure {
    Failure::reject(Code::WorkerLost, format!("the worker died or lost its lease {attempts} times"))
}
