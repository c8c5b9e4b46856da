//! Running the stage, beside every reason to stop it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rmpv::Value;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::attempt::{Attempt, End};
use super::bounds::{self, TimeLeft};
use crate::context::Context;
use crate::event::Event;
use crate::failure::Failure;
use crate::job::Job;
use crate::stage::{Outcome, Stage};

/// How long stopped work may take to notice, before its last word counts.
const NOTICE: Duration = Duration::from_secs(10);
/// At most this many progress events a second are worth their bytes.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// What comes of a stage's work.
type Ran<S> = Result<Outcome<<S as Stage>::Output>, Failure>;

impl Attempt {
    /// Runs the stage until it is done, or `cancel` or something else stops it.
    pub(super) async fn work<S: Stage>(&self, stage: &Arc<S>, job: S::Input, cancel: &CancellationToken) -> End {
        let left = bounds::time_left(&self.shared.env.options, job.meta());
        let notice = NOTICE.max(self.stall());
        self.lease.until(Some(Instant::now() + left.time + notice));
        let end = self.work_within(stage, job, (left, cancel)).await;
        self.lease.until(None);
        end
    }

    async fn work_within<S: Stage>(
        &self,
        stage: &Arc<S>,
        job: S::Input,
        (left, cancel): (TimeLeft, &CancellationToken),
    ) -> End {
        let context = self.context(self.is_last(job.meta()));
        // A stage that passes no job of its own on hands the one that came to the next stage.
        let same = (!context.last).then(|| job.to_value());
        let overweight = bounds::overweight(self.shared.env.options.job_memory_mib);
        let mut work = self.set_to_work(stage, job, &context);
        let stopped = tokio::select! {
            Some(result) = work.join_next() => return match result {
                Ok(Ok(outcome)) => self.end_of(outcome, context.last, same),
                Ok(Err(failure)) => End::Failed(failure),
                Err(ended) => End::Failed(Failure::Retry(anyhow!("the stage panicked: {}", words_of(ended)))),
            },
            stopped = self.reason_to_stop(cancel) => stopped,
            failure = bounds::overtime(left) => End::Failed(failure),
            failure = overweight => End::Failed(failure),
            never = self.tell_progress() => match never {},
        };
        context.stop.cancel();
        if matches!(stopped, End::Failed(Failure::Interrupted)) {
            // The process ends: whatever still runs ends with it, and others need the job.
            return stopped;
        }
        while tokio::time::timeout(NOTICE, work.join_next()).await.is_err() {
            // One denoising step, or one window of speech, may take its time.
            if self.lease.progress.silence() > self.stall() {
                return End::Hung;
            }
        }
        stopped
    }

    /// The stage at work; dropped, it stops.
    fn set_to_work<S: Stage>(&self, stage: &Arc<S>, job: S::Input, context: &Context) -> JoinSet<Ran<S>> {
        let (stage, context) = (Arc::clone(stage), context.clone());
        let mut work = JoinSet::new();
        work.spawn_on(async move { stage.run(job, &context).await }.in_current_span(), &self.shared.stages);
        work
    }

    fn context(&self, last: bool) -> Context {
        Context {
            job: self.job.clone(),
            attempt: self.number,
            fresh: self.is_first(),
            last,
            stop: CancellationToken::new(),
            progress: Arc::clone(&self.lease.progress),
            events: self.events.clone(),
            store: self.shared.env.store.clone(),
            stage: self.stage(),
            metrics: Arc::clone(&self.shared.env.metrics),
        }
    }

    fn end_of<J: Job>(&self, outcome: Outcome<J>, last: bool, same: Option<Value>) -> End {
        let next = |job: Value, made| match self.shared.next_step() {
            Some(step) => End::Next { queue: step.queue, job, made },
            None => End::Complete(made),
        };
        match outcome {
            Outcome::NoSpeech(reason) => End::NoSpeech(reason),
            Outcome::Next(_, made) | Outcome::Done(made) if last => End::Complete(made),
            Outcome::Next(job, made) => next(job.to_value(), made),
            Outcome::Done(made) => match same {
                Some(job) => next(job, made),
                None => End::Complete(made),
            },
        }
    }

    /// Resolves when the work must not go on.
    async fn reason_to_stop(&self, cancel: &CancellationToken) -> End {
        let every = self.shared.ack_wait / 3;
        // The first look was at admission.
        let mut check = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return End::Canceled,
                () = self.shared.shutdown.stop.cancelled() => return End::Failed(Failure::Interrupted),
                _ = check.tick() => {
                    if self.lease.progress.silence() > self.stall() {
                        return End::Hung;
                    }
                    if self.is_lost().await {
                        return End::AlreadyEnded;
                    }
                    // A cancel sent while the link was down.
                    if self.shared.env.queue.is_canceled(&self.job, self.delivery.lane()).await.unwrap_or(false) {
                        return End::Canceled;
                    }
                }
            }
        }
    }

    async fn tell_progress(&self) -> Infallible {
        let mut told = self.lease.progress.follow();
        loop {
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = *told.borrow_and_update();
            if let Some(now) = now.filter(|_| self.lease.is_sure()) {
                let (done, total, eta) = (now.done, now.total, now.eta);
                let event = Event::Progress { stage: self.stage().into(), done, total, eta };
                self.events.mention(&self.job, &event).await;
            }
            tokio::time::sleep(PROGRESS_PAUSE).await;
        }
    }
}

/// What a panic said.
fn words_of(ended: JoinError) -> String {
    let Ok(panic) = ended.try_into_panic() else { return "(its runtime has ended)".to_owned() };
    let said = panic.downcast_ref::<String>().map(String::as_str);
    said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)").to_owned()
}
