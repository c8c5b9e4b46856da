//! The end of one delivery: the only place that decides what becomes of a message.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use async_nats::HeaderMap;

use super::Worker;
use super::attempt::Attempt;
use crate::event::Event;
use crate::failure::{Failure, Verdict as _};
use crate::message::Message;
use crate::queue::names::{JOB_HEADER, REPLAY_HEADER};
use crate::queue::{Grave, Outgoing};
use crate::stage::Stage;
use crate::wire;

/// Delays before attempts 2, 3, 4 and all later ones; each is varied by a fifth, so that jobs
/// that failed together do not come back together.
const DELAYS: [f64; 4] = [1.0, 5.0, 30.0, 120.0];
/// Delay after an outage: the worker itself waits for the store, and the job is to go on soon
/// after that.
const OUTAGE_DELAY: Duration = Duration::from_secs(5);
/// Longest pause between tries to reach NATS while a job is settled.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// How an attempt ended.
pub(super) enum Verdict<M> {
    Next(M),
    End(Event),
    Canceled,
    AlreadyEnded,
    Failed(Failure),
    /// The work does not stop when told to.
    Hung,
}

impl<M> From<Failure> for Verdict<M> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<S: Stage> Worker<S> {
    /// Settles one delivery. An error ends the worker.
    pub(super) async fn settle(&self, attempt: &Attempt, verdict: Verdict<S::Output>) -> anyhow::Result<()> {
        let verdict = if self.lost(attempt).await { Verdict::AlreadyEnded } else { verdict };
        let outcome = outcome(&verdict);
        self.deps.metrics.finished(S::NAME, outcome, attempt.began.elapsed().as_secs_f64());
        attempt.lease.until(None);
        let broken = self.judge(attempt, &verdict);
        match verdict {
            Verdict::Next(job) => self.pass_on(attempt, job).await,
            Verdict::End(event) => self.end(attempt, event).await,
            Verdict::Canceled => self.end(attempt, Event::Canceled { stage: S::NAME.into() }).await,
            Verdict::AlreadyEnded => self.until_done(attempt, "ack", || attempt.delivery.ack()).await,
            Verdict::Failed(Failure::Interrupted) => self.release(attempt, "interrupted", Duration::ZERO).await,
            Verdict::Failed(Failure::Outage(error)) => self.release(attempt, &format!("{error:#}"), OUTAGE_DELAY).await,
            Verdict::Failed(Failure::Retry(error)) => self.count(attempt, &format!("{error:#}")).await,
            Verdict::Failed(Failure::Broken(error)) => {
                self.count(attempt, &format!("{error:#}")).await?;
                Err(error.context("this worker cannot go on"))
            }
            Verdict::Failed(failure) => self.bury(attempt, &failure.to_string()).await,
            Verdict::Hung => bail!("the work on job {} hangs; its lease is given up", attempt.job),
        }?;
        tracing::info!(outcome, seconds = attempt.began.elapsed().as_secs_f64(), "job settled");
        broken
    }

    /// What an attempt's end says of this worker; an error takes it out of the queue.
    fn judge(&self, attempt: &Attempt, verdict: &Verdict<S::Output>) -> anyhow::Result<()> {
        match verdict {
            Verdict::Failed(Failure::Outage(_)) => self.outage.store(true, Ordering::Relaxed),
            Verdict::Failed(Failure::Retry(_)) => {
                return self.breaker.bad(&attempt.job, self.deps.options.break_after);
            }
            Verdict::Next(_) | Verdict::End(_) | Verdict::Failed(Failure::Reject(_)) => self.breaker.good(),
            _ => {}
        }
        Ok(())
    }

    /// Publish next, await its PubAck, only then acknowledge: a crash between costs a duplicate
    /// that the message id or the next stage drops, never a loss.
    async fn pass_on(&self, attempt: &Attempt, mut job: S::Output) -> anyhow::Result<()> {
        let replay = attempt.delivery.replay();
        job.common_mut().id = Some(attempt.job.clone());
        let (content_type, payload) = wire::encode(&job);
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", content_type);
        headers.insert(JOB_HEADER, attempt.job.as_str());
        if replay > 0 {
            headers.insert(REPLAY_HEADER, replay.to_string());
        }
        headers.insert("traceparent", attempt.trace.to_string());
        if let Some(state) = &attempt.trace.state {
            headers.insert("tracestate", state.as_str());
        }
        let queue = &self.deps.queue;
        let subject = queue.names().job(S::Output::QUEUE, attempt.delivery.lane());
        let message_id = format!("{}/{}/{replay}", attempt.job, S::NAME);
        let outgoing = Outgoing { subject, message_id, headers, payload };
        if let Err(error) = queue.fits(&outgoing) {
            return self.bury(attempt, &format!("the next job is too large: {error}")).await;
        }
        self.until_done(attempt, "publish the next job", || queue.publish(outgoing.clone())).await?;
        self.until_done(attempt, "ack", || attempt.delivery.ack()).await
    }

    async fn end(&self, attempt: &Attempt, event: Event) -> anyhow::Result<()> {
        self.tell_end(attempt, &event).await?;
        self.until_done(attempt, "ack", || attempt.delivery.ack()).await
    }

    /// The final event, unless the job has one: a worker that was stopped for longer than JetStream
    /// remembers message ids finds its job ended by another.
    async fn tell_end(&self, attempt: &Attempt, event: &Event) -> anyhow::Result<()> {
        let (job, replay) = (&attempt.job, attempt.delivery.replay());
        let told = async || {
            if self.deps.queue.has_ended(job, replay).await.or_outage()? {
                return Ok(());
            }
            attempt.events.publish(job, event).await
        };
        self.until_done(attempt, "publish the final event", told).await
    }

    async fn release(&self, attempt: &Attempt, reason: &str, delay: Duration) -> anyhow::Result<()> {
        tracing::warn!(reason, "job handed back");
        let (message, delivery) = (attempt.delivery.sequence, attempt.delivery.delivered);
        let event = Event::Released { stage: S::NAME.into(), reason: reason.into(), message, delivery };
        self.until_done(attempt, "publish an event", || attempt.events.publish(&attempt.job, &event)).await?;
        self.until_done(attempt, "hand the job back", || attempt.delivery.hand_back(delay)).await
    }

    /// A failed attempt: another one, unless it was the last.
    async fn count(&self, attempt: &Attempt, reason: &str) -> anyhow::Result<()> {
        if attempt.number < self.deps.options.attempts {
            self.retry(attempt, reason).await
        } else {
            self.bury(attempt, reason).await
        }
    }

    async fn retry(&self, attempt: &Attempt, reason: &str) -> anyhow::Result<()> {
        let delay = delay(attempt.number);
        tracing::warn!(reason, delay_seconds = delay.as_secs_f64(), "attempt failed");
        let (stage, reason, seconds) = (S::NAME.into(), reason.into(), delay.as_secs_f64());
        let event = Event::Retrying { stage, attempt: attempt.number, reason, delay: seconds };
        self.until_done(attempt, "publish an event", || attempt.events.publish(&attempt.job, &event)).await?;
        self.until_done(attempt, "hand the job back", || attempt.delivery.hand_back(delay)).await
    }

    async fn bury(&self, attempt: &Attempt, reason: &str) -> anyhow::Result<()> {
        tracing::error!(reason, "job buried in DEAD");
        let grave = Grave {
            stage: S::NAME,
            job: attempt.job.as_str(),
            worker: &self.name,
            reason,
            attempts: attempt.number,
            sequence: attempt.delivery.sequence,
        };
        let original = attempt.delivery.original();
        self.until_done(attempt, "bury the job", || self.deps.queue.bury(&grave, &original)).await?;
        let (stage, reason, attempts) = (S::NAME.into(), reason.into(), attempt.number);
        let event = Event::Failed { stage, reason, attempts };
        self.tell_end(attempt, &event).await?;
        // Not a Term: its advisory would say that a job died without a word.
        self.until_done(attempt, "ack", || attempt.delivery.ack()).await
    }

    /// Tries until it works. Giving up would turn an outage of NATS into a lost attempt; only a
    /// second SIGTERM or the end of the drain ends it with an error. What follows must then not
    /// happen, an ack least of all: the message comes again.
    async fn until_done<T, E, F>(
        &self,
        attempt: &Attempt,
        what: &str,
        mut step: impl FnMut() -> F,
    ) -> anyhow::Result<()>
    where
        E: Into<anyhow::Error>,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = Duration::from_millis(200);
        loop {
            let Err(error) = step().await else {
                self.deps.health.up("settling");
                return Ok(());
            };
            let error: anyhow::Error = error.into();
            if self.deps.queue.is_gone() {
                return Err(error.context(format!("the NATS client is gone before it could {what}")));
            }
            attempt.lease.progress.touch();
            tracing::warn!(error = format!("{error:#}"), "cannot {what} yet");
            self.deps.health.down("settling", format!("cannot {what}: {error:#}"));
            if self.shutdown.stop.is_cancelled() {
                return Err(error.context(format!("stopped before it could {what}")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

fn outcome<M>(verdict: &Verdict<M>) -> &'static str {
    match verdict {
        Verdict::Next(_) => "passed-on",
        Verdict::End(event) => event.kind(),
        Verdict::Canceled => "canceled",
        Verdict::AlreadyEnded => "already-ended",
        Verdict::Failed(Failure::Reject(_)) => "rejected",
        Verdict::Failed(Failure::Retry(_)) => "failed",
        Verdict::Failed(Failure::Broken(_)) => "broken",
        Verdict::Failed(Failure::Outage(_)) => "outage",
        Verdict::Failed(Failure::Interrupted) => "interrupted",
        Verdict::Hung => "hung",
    }
}

fn delay(attempt: u64) -> Duration {
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS.len() - 1);
    Duration::from_secs_f64(DELAYS[at] * rand::random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_delays_grow_and_vary_by_a_fifth() {
        for (attempt, seconds) in [(1, 1.0), (2, 5.0), (3, 30.0), (4, 120.0), (5, 120.0), (u64::MAX, 120.0)] {
            let drawn: Vec<f64> = (0..200).map(|_| delay(attempt).as_secs_f64()).collect();
            assert!(drawn.iter().all(|delay| (seconds * 0.8..=seconds * 1.2).contains(delay)), "{attempt}: {drawn:?}");
            assert!(drawn.iter().any(|delay| (delay - seconds).abs() > seconds * 0.1), "{attempt}: {drawn:?}");
        }
    }
}
