//! The end of one delivery: the only place that decides what becomes of a message.

use std::time::Duration;

use anyhow::bail;
use async_nats::HeaderMap;
use rmpv::Value;

use super::attempt::{Attempt, End};
use crate::causes::causes;
use crate::code::Code;
use crate::event::Event;
use crate::failure::{DeviceLost, Failure};
use crate::health::Part;
use crate::made::Made;
use crate::names::{JOB_HEADER, PASSED_HEADER, REPLAY_HEADER, SPENT_HEADER};
use crate::queue::Outgoing;
use crate::telemetry::JobSpan;
use crate::wire;

/// Delays before attempts 2, 3, 4 and all later ones, in seconds; each is varied by a fifth, so
/// that jobs that failed together do not come back together.
const DELAYS: [f64; 4] = [1.0, 5.0, 30.0, 120.0];
/// Delay after an outage: the worker itself waits for the store, and the job is to go on soon
/// after that.
const OUTAGE_DELAY: Duration = Duration::from_secs(5);
/// Longest pause between tries to reach a service while a job is settled.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(10);

/// What an attempt's end says of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The worker does what it should.
    Good,
    /// It says nothing.
    Neutral,
    /// A service is away.
    Outage,
    /// The attempt failed, and the job is not known to be the reason.
    Bad,
}

impl Attempt {
    /// Settles the delivery. An error ends the worker.
    pub(super) async fn settle(self, end: End) -> anyhow::Result<Consequence> {
        let end = if self.is_lost().await { End::AlreadyEnded } else { end };
        let outcome = outcome(&end);
        let told = self.told.as_ref().inspect(|told| told.end(outcome));
        let exemplar = told.and_then(JobSpan::exemplar);
        self.shared.env.metrics.finished(self.stage(), outcome, self.seconds(), exemplar);
        self.lease.until(None);
        let consequence = consequence(&end);
        match end {
            End::Next { queue, job, made } => self.pass_down(queue, job, made).await,
            End::Complete(made) => self.complete(made).await,
            End::NoSpeech(reason) => self.end(Event::NoSpeech { stage: self.stage().into(), reason }).await,
            End::PassOn(pool) => self.pass_on(&pool).await,
            End::NameUsed => self.refuse().await,
            End::Canceled => self.end(Event::Canceled { stage: self.stage().into() }).await,
            End::AlreadyEnded => self.told_before().await,
            End::Failed(failure) => self.fail(failure).await,
            End::Hung => bail!("the work on job {} hangs; its lease is given up", self.job),
        }?;
        tracing::info!(outcome, seconds = self.seconds(), "job settled");
        Ok(consequence)
    }

    async fn fail(&self, failure: Failure) -> anyhow::Result<()> {
        let (code, reason) = (failure.code(), failure.to_string());
        match failure {
            Failure::Interrupted => self.release(code, &reason, Duration::ZERO).await,
            Failure::Outage(_) => self.release(code, &reason, OUTAGE_DELAY).await,
            Failure::Retry(_) => self.count_down(code, &reason).await,
            Failure::Broken(error) => {
                self.count_down(code, &reason).await?;
                Err(error.context("the worker ends: it cannot take further jobs"))
            }
            Failure::Lost(error) => {
                if self.is_first() {
                    self.release(code, &reason, Duration::ZERO).await?;
                } else {
                    self.count_down(code, &reason).await?;
                }
                Err(error.context(DeviceLost))
            }
            Failure::Reject(_) => self.bury(code, &reason).await,
        }
    }

    /// Publish next, await its PubAck, only then acknowledge: a crash between costs a duplicate
    /// that the message id or the next stage drops, never a loss.
    async fn pass_down(&self, queue: &str, job: Value, made: Made) -> anyhow::Result<()> {
        let all = self.made_with(made);
        let (content_type, payload) = wire::encode_value(&self.continued(job, &all));
        let mut headers = self.traced();
        headers.insert("Content-Type", content_type);
        let subject = self.shared.env.queue.names().job(queue, self.delivery.lane());
        let message_id = format!("{}/{}/{}", self.job, self.stage(), self.run());
        let outgoing = Outgoing { subject, message_id, headers, payload };
        if let Err(error) = self.shared.env.queue.fits(&outgoing) {
            return self.bury(Code::TooLarge, &format!("the job for the next stage is too large: {error}")).await;
        }
        let finished = self.finished(wire::digest(&outgoing.payload).unwrap_or_default());
        self.until_done("publish an event", || self.events.publish(&self.job, &finished)).await?;
        let queue = &self.shared.env.queue;
        self.until_done("publish the next job", || queue.publish_surely(outgoing.clone())).await?;
        self.slot.free();
        self.acknowledge().await
    }

    /// Hands the job to another pool, as it came. That is no attempt.
    async fn pass_on(&self, pool: &str) -> anyhow::Result<()> {
        let (queue, step) = (&self.shared.env.queue, self.shared.step);
        let original = self.delivery.original();
        let mut headers = original.headers.cloned().unwrap_or_default();
        headers.insert(JOB_HEADER, self.job.as_str());
        headers.insert(PASSED_HEADER, self.delivery.pool());
        headers.insert(SPENT_HEADER, (self.number - 1).to_string());
        let subject = queue.names().job_in(step.queue, self.delivery.lane(), pool);
        let message_id = format!("{}/{}/{}/pool/{pool}", self.job, self.stage(), self.run());
        let outgoing = Outgoing { subject, message_id, headers, payload: original.payload.clone() };
        self.until_done("pass the job on", || queue.publish_surely(outgoing.clone())).await?;
        let workers = queue.pool_state(step, pool).await.map_or(0, |state| state.workers());
        tracing::info!(pool, workers, "job passed on to the pool of its model");
        let event = Event::PassedOn { stage: self.stage().into(), pool: pool.into(), workers };
        self.events.mention(&self.job, &event).await;
        self.acknowledge().await
    }

    async fn release(&self, code: Code, reason: &str, delay: Duration) -> anyhow::Result<()> {
        tracing::warn!(
            reason,
            code = code.as_str(),
            "job released: it goes back to its queue, and the attempt does not count"
        );
        let (message, delivery) = (self.delivery.sequence, self.delivery.delivered);
        let event = Event::Released { stage: self.stage().into(), code, reason: reason.into(), message, delivery };
        self.until_done("publish an event", || self.events.publish(&self.job, &event)).await?;
        self.until_settled("hand the job back", || self.delivery.hand_back(delay)).await
    }

    /// A failed attempt: another one, unless it was the last.
    async fn count_down(&self, code: Code, reason: &str) -> anyhow::Result<()> {
        if self.number >= self.known.attempts {
            return self.bury(code, reason).await;
        }
        let delay = delay(self.number);
        tracing::warn!(reason, delay_seconds = delay.as_secs_f64(), "attempt failed; the job is tried again");
        let (stage, reason) = (self.stage().into(), reason.into());
        let event = Event::Retrying { stage, attempt: self.number, code, reason, delay: delay.as_secs_f64() };
        self.until_done("publish an event", || self.events.publish(&self.job, &event)).await?;
        self.until_settled("hand the job back", || self.delivery.hand_back(delay)).await
    }

    pub(super) async fn acknowledge(&self) -> anyhow::Result<()> {
        // Never a Term: its advisory would say that a job died without a word.
        self.until_settled("acknowledge the message", || self.delivery.ack()).await
    }

    /// All that was made so far, this stage's part with it.
    pub(super) fn made_with(&self, made: Made) -> Vec<Made> {
        let own = Made { stage: self.stage().into(), seconds: self.seconds(), ..made };
        self.known.made.iter().cloned().chain([own]).collect()
    }

    /// `made` is a digest of what goes on to the next stage.
    pub(super) fn finished(&self, made: String) -> Event {
        Event::Finished { stage: self.stage().into(), seconds: self.seconds(), made }
    }

    /// The job of the next stage, with its name and with what was made so far.
    fn continued(&self, job: Value, all: &[Made]) -> Value {
        let mut fields = match job {
            Value::Map(fields) => fields,
            _ => Vec::new(),
        };
        fields.retain(|(field, _)| !matches!(field.as_str(), Some("id" | "made")));
        fields.push(("id".into(), self.job.as_str().into()));
        fields.push(("made".into(), serde_json::to_string(all).unwrap_or_default().into()));
        Value::Map(fields)
    }

    /// The headers that go along with a job.
    fn traced(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(JOB_HEADER, self.job.as_str());
        if self.run() > 0 {
            headers.insert(REPLAY_HEADER, self.run().to_string());
        }
        self.trace.carry(|name, value| headers.insert(name, value));
        headers
    }

    /// Tries until it works. Giving up would turn an outage into a lost attempt; only a second
    /// SIGTERM or the end of the drain ends it with an error. What follows must then not happen,
    /// an ack least of all: the message comes again.
    pub(super) async fn until_done<T, E, F>(&self, what: &str, mut step: impl FnMut() -> F) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = Duration::from_millis(200);
        let mut trouble = None;
        loop {
            let error: anyhow::Error = match step().await {
                Ok(done) => return Ok(done),
                Err(error) => error.into(),
            };
            if self.shared.env.queue.is_gone() {
                return Err(error.context(format!("cannot {what}: the NATS client has ended for good")));
            }
            self.lease.progress.touch();
            let why = format!("cannot {what}: {}", causes(&error));
            tracing::warn!(error = why, "the job is not settled yet; trying again");
            trouble.get_or_insert_with(|| self.shared.env.health.trouble(Part::Settling, &why)).say(&why);
            if self.shared.shutdown.stop.is_cancelled() {
                return Err(
                    error.context(format!("the worker stopped before it could {what}; the job is delivered again"))
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

fn consequence(end: &End) -> Consequence {
    match end {
        End::Failed(Failure::Outage(_)) => Consequence::Outage,
        End::Failed(Failure::Retry(_)) => Consequence::Bad,
        End::Next { .. } | End::Complete(_) | End::NoSpeech(_) | End::Failed(Failure::Reject(_)) => Consequence::Good,
        _ => Consequence::Neutral,
    }
}

fn outcome(end: &End) -> &'static str {
    match end {
        End::Next { .. } => "finished",
        End::Complete(_) => "done",
        End::NoSpeech(_) => "no-speech",
        End::PassOn(_) => "passed-on",
        End::NameUsed => "name-used",
        End::Canceled => "canceled",
        End::AlreadyEnded => "already-ended",
        End::Failed(Failure::Reject(_)) => "rejected",
        End::Failed(Failure::Retry(_)) => "failed",
        End::Failed(Failure::Broken(_)) => "broken",
        End::Failed(Failure::Lost(_)) => "device-lost",
        End::Failed(Failure::Outage(_)) => "outage",
        End::Failed(Failure::Interrupted) => "interrupted",
        End::Hung => "hung",
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
