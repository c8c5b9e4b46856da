//! One delivery from its decoding to its end.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::settle::Verdict;
use super::{Worker, bounds};
use crate::context::Context;
use crate::delivery::Delivery;
use crate::event::Event;
use crate::events::Events;
use crate::failure::{Failure, Verdict as _};
use crate::fields::FieldError;
use crate::job::JobId;
use crate::lease::{Lease, LeaseTerms};
use crate::message::Message;
use crate::stage::{Outcome, Stage};
use crate::trace::TraceContext;

/// How long stopped work may take to notice, before its last word counts.
const NOTICE: Duration = Duration::from_secs(10);
/// At most this many progress events a second are worth their bytes.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// One delivery, with what every part of its life needs.
pub(super) struct Attempt {
    pub(super) job: JobId,
    pub(super) number: u64,
    pub(super) delivery: Delivery,
    pub(super) events: Events,
    pub(super) trace: TraceContext,
    pub(super) began: Instant,
    pub(super) lease: Lease,
}

impl<S: Stage> Worker<S> {
    pub(super) async fn process(self: Arc<Self>, delivery: Delivery) -> anyhow::Result<()> {
        let began = Instant::now();
        let terms = LeaseTerms { every: self.ack_wait / 3, stall: self.deps.options.stall_time() };
        let lease = Lease::hold(&self.deps.queue, delivery.reply(), terms);
        let decoded = delivery.decode::<S::Input>();
        let own = decoded.as_ref().ok().and_then(|job| job.common().id.as_ref());
        let (job, decoded) = match delivery.job_id(own, &self.stream, self.created) {
            Ok(job) => (job, decoded),
            Err((job, error)) => (job, Err(error)),
        };
        let trace = trace_of(&delivery);
        let events = Events::new(self.deps.queue.clone(), S::NAME, &self.name, delivery.replay());
        let number = self.number(&job, &delivery).await;
        self.deps.metrics.delivered(S::NAME, delivery.delivered);
        let span = tracing::info_span!(
            "job", job = %job, stage = S::NAME, attempt = *number.as_ref().unwrap_or(&0), trace_id = %trace.trace_id()
        );
        let attempt = Attempt { job, number: *number.as_ref().unwrap_or(&1), delivery, events, trace, began, lease };
        async {
            let _busy = self.deps.metrics.in_flight(S::NAME);
            let verdict = match number {
                Ok(_) => self.verdict(&attempt, decoded).await,
                Err(failure) => Verdict::Failed(failure),
            };
            self.settle(&attempt, verdict).await
        }
        .instrument(span)
        .await
    }

    async fn verdict(&self, attempt: &Attempt, decoded: Result<S::Input, FieldError>) -> Verdict<S::Output> {
        match self.admit(attempt, decoded).await {
            Ok(job) => self.work(attempt, job).await,
            Err(verdict) => verdict,
        }
    }

    /// Counts attempts: deliveries less those that ended through no fault of the job, and what was spent
    /// with messages before this one.
    async fn number(&self, job: &JobId, delivery: &Delivery) -> Result<u64, Failure> {
        let spent = delivery.spent();
        if delivery.delivered == 1 {
            return Ok(spent + 1);
        }
        let released = self.deps.queue.releases(job, S::NAME, delivery.sequence).await.or_outage()?;
        Ok(spent + delivery.delivered.saturating_sub(released).max(1))
    }

    /// The job, unless there is nothing left to do for it.
    async fn admit(
        &self,
        attempt: &Attempt,
        decoded: Result<S::Input, FieldError>,
    ) -> Result<S::Input, Verdict<S::Output>> {
        let (queue, job) = (&self.deps.queue, &attempt.job);
        if queue.has_ended(job, attempt.delivery.replay()).await.or_outage()? {
            return Err(Verdict::AlreadyEnded);
        }
        let labels = decoded.as_ref().map(|job| job.common().labels.clone()).unwrap_or_default();
        attempt.events.publish(job, &Event::Accepted { stage: S::NAME.into(), labels }).await?;
        if queue.is_canceled(job).await.or_outage()? {
            return Err(Verdict::Canceled);
        }
        let input = decoded.map_err(Failure::from)?;
        let limit = self.deps.options.attempts;
        if attempt.number > limit {
            let reason = anyhow!("{limit} attempts ended without a word from their workers");
            return Err(Verdict::Failed(Failure::Reject(reason)));
        }
        let (stage, worker) = (S::NAME.into(), self.name.clone());
        attempt.events.publish(job, &Event::Started { stage, worker, attempt: attempt.number }).await?;
        Ok(input)
    }

    async fn work(&self, attempt: &Attempt, job: S::Input) -> Verdict<S::Output> {
        let time = bounds::time_left(&self.deps.options, job.common());
        let notice = NOTICE.max(self.deps.options.stall_time());
        attempt.lease.until(Some(Instant::now() + time + notice));
        let verdict = self.work_within(attempt, job, time).await;
        attempt.lease.until(None);
        verdict
    }

    async fn work_within(&self, attempt: &Attempt, job: S::Input, time: Duration) -> Verdict<S::Output> {
        let context = Context {
            job: attempt.job.clone(),
            attempt: attempt.number,
            stop: CancellationToken::new(),
            progress: Arc::clone(&attempt.lease.progress),
            events: attempt.events.clone(),
            store: self.deps.store.clone(),
        };
        let overweight = bounds::overweight(self.deps.options.job_memory_mib);
        let work = AssertUnwindSafe(self.stage.run(job, &context)).catch_unwind();
        tokio::pin!(work);
        let stopped = tokio::select! {
            result = &mut work => return match result {
                Ok(Ok(Outcome::Next(job))) => Verdict::Next(job),
                Ok(Ok(Outcome::End(event))) => Verdict::End(event),
                Ok(Err(failure)) => Verdict::Failed(failure),
                Err(panic) => Verdict::Failed(Failure::Retry(anyhow!("the stage panicked: {}", words_of(&*panic)))),
            },
            stopped = self.reason_to_stop(attempt) => stopped,
            late = bounds::overtime(time) => Verdict::Failed(late),
            heavy = overweight => Verdict::Failed(heavy),
            never = self.tell_progress(attempt) => match never {},
        };
        context.stop.cancel();
        if matches!(stopped, Verdict::Failed(Failure::Interrupted)) {
            // The process ends: whatever still runs ends with it, and others need the job.
            return stopped;
        }
        while tokio::time::timeout(NOTICE, &mut work).await.is_err() {
            // One denoising step, or one window of speech, may take its time.
            if attempt.lease.progress.silence() > self.deps.options.stall_time() {
                return Verdict::Hung;
            }
        }
        stopped
    }

    /// Resolves when the work must not go on.
    async fn reason_to_stop(&self, attempt: &Attempt) -> Verdict<S::Output> {
        let watch = self.cancels.watch(&attempt.job);
        let stall = self.deps.options.stall_time();
        let mut check = tokio::time::interval(self.ack_wait / 3);
        loop {
            tokio::select! {
                () = watch.token.cancelled() => return Verdict::Canceled,
                () = self.shutdown.stop.cancelled() => return Verdict::Failed(Failure::Interrupted),
                _ = check.tick() => {
                    if attempt.lease.progress.silence() > stall {
                        return Verdict::Hung;
                    }
                    if self.lost(attempt).await {
                        return Verdict::AlreadyEnded;
                    }
                    // A cancel sent while the link was down, or before this job began.
                    if self.deps.queue.is_canceled(&attempt.job).await.unwrap_or(false) {
                        return Verdict::Canceled;
                    }
                }
            }
        }
    }

    /// Whether another worker has ended the job while this one stood still or was cut off.
    pub(super) async fn lost(&self, attempt: &Attempt) -> bool {
        if attempt.lease.is_sure() {
            return false;
        }
        match self.deps.queue.has_ended(&attempt.job, attempt.delivery.replay()).await {
            Ok(true) => true,
            Ok(false) => {
                attempt.lease.trust();
                false
            }
            Err(_) => false,
        }
    }

    async fn tell_progress(&self, attempt: &Attempt) -> Infallible {
        let mut told = attempt.lease.progress.follow();
        loop {
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = *told.borrow_and_update();
            if let Some(now) = now.filter(|_| attempt.lease.is_sure()) {
                let (done, total, eta) = (now.done, now.total, now.eta);
                let event = Event::Progress { stage: S::NAME.into(), done, total, eta };
                attempt.events.mention(&attempt.job, &event).await;
            }
            tokio::time::sleep(PROGRESS_PAUSE).await;
        }
    }
}

/// The sender's trace goes on; a job without one starts its own.
fn trace_of(delivery: &Delivery) -> TraceContext {
    let parent = delivery.header("traceparent");
    let parent = parent.and_then(|parent| TraceContext::parse(parent, delivery.header("tracestate")));
    parent.map_or_else(TraceContext::start, |parent| parent.child())
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}
