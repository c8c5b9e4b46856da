//! Whether there is anything to do for a job: asked before the stage sees it.
#![allow(clippy::result_large_err, reason = "an attempt ends once, and its end is moved once")]

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attempt::{Attempt, End, Known, Obstacle, worker_lost};
use crate::code::Code;
use crate::event::Event;
use crate::events::Acceptance;
use crate::failure::{Failure, OrFailure};
use crate::fields::FieldError;
use crate::job::{Job, JobMeta};
use crate::names::DEFAULT_POOL;
use crate::queue::{self, Queue};
use crate::stage::Stage;
use crate::step::Step;

impl Attempt {
    /// The job, unless there is nothing left to do for it.
    pub(super) async fn admit<S: Stage>(&mut self) -> Result<S::Input, End> {
        let wrong_name = match self.obstacle.take() {
            Some(Obstacle::Away(failure)) => return Err(failure.into()),
            Some(Obstacle::Name(error)) => Some(error),
            None => None,
        };
        let decoded = self.delivery.decode::<S::Input>();
        match &decoded {
            Ok(job) => self.learn(job.meta()),
            // What a stage before passed on has been accepted, whatever this one thinks of it.
            Err(_) => self.known.made = self.delivery.made(),
        }
        let continued = !self.known.made.is_empty();
        self.check_replay(continued).await?;
        self.check_told(continued).await?;
        if let Some(error) = wrong_name {
            return Err(Failure::from(error).into());
        }
        let job = decoded.map_err(Failure::from)?;
        self.check_times(job.meta())?;
        self.check_model(&job).await?;
        if self.number > self.known.attempts {
            return Err(worker_lost(self.known.attempts).into());
        }
        let (stage, worker) = (S::NAME.into(), self.shared.name.clone());
        self.events.mention(&self.job, &Event::Started { stage, worker, attempt: self.number }).await;
        Ok(job)
    }

    fn learn(&mut self, meta: &JobMeta) {
        let attempts = meta.attempts.unwrap_or(self.shared.env.options.attempts);
        self.known = Known { made: meta.made.clone(), labels: meta.labels.clone(), attempts };
    }

    /// Tells that the job is accepted. A first sure telling proves that there is nothing else to ask.
    async fn accept(&self) -> Result<(), End> {
        let event = Event::Accepted {
            stage: self.stage().into(),
            labels: self.known.labels.clone(),
            lane: self.delivery.lane().into(),
            run: self.run(),
            digest: self.delivery.digest(),
        };
        match self.events.accept(&self.job, &event).await? {
            Acceptance::First => Ok(()),
            Acceptance::Again => self.check_ended().await,
            Acceptance::NameUsed => Err(End::NameUsed),
        }
    }

    /// A sender can write the header of a replay, too. It counts only after a run that failed, and for
    /// the job that was accepted then. A name that nothing is known of any more is free.
    async fn check_replay(&self, continued: bool) -> Result<(), End> {
        let Some(before) = self.run().checked_sub(1) else { return Ok(()) };
        let queue = &self.shared.env.queue;
        let failed = match queue.end_of(&self.job, before).await.or_outage()? {
            queue::End::Told(told) => Some(matches!(told.data, Event::Failed { .. })),
            queue::End::Open => None,
        };
        let accepted = queue.last_event(&self.job, "accepted").await.or_outage()?.and_then(|(_, envelope)| envelope);
        let same = match accepted.map(|envelope| envelope.data) {
            Some(Event::Accepted { digest, .. }) => Some(continued || digest == self.delivery.digest()),
            _ => None,
        };
        match (failed, same) {
            (Some(true), Some(true) | None) | (None, None) => Ok(()),
            _ => Err(End::NameUsed),
        }
    }

    async fn check_ended(&self) -> Result<(), End> {
        let ended = self.shared.env.queue.has_ended(&self.job, self.run()).await.or_outage()?;
        if ended { Err(End::AlreadyEnded) } else { Ok(()) }
    }

    /// What the streams know of the job. All is asked at once, because none of it changes an answer to
    /// the rest; then the first obstacle counts.
    async fn check_told(&mut self, continued: bool) -> Result<(), End> {
        let accepted = async { if !continued || self.run() > 0 { self.accept().await } else { Ok(()) } };
        let made = async { if continued { self.is_made().await } else { Ok(Some(true)) } };
        let (accepted, made, canceled) = tokio::join!(accepted, made, self.check_canceled());
        accepted?;
        self.check_made(made?).await?;
        canceled
    }

    /// Whether the stage before told what the job says it made.
    async fn is_made(&self) -> Result<Option<bool>, End> {
        let queue = &self.shared.env.queue;
        // Computed while NATS answers: the questions are sent first.
        let digest = async {
            tokio::task::yield_now().await;
            self.delivery.content()
        };
        let (ended, told, digest) = tokio::join!(self.check_ended(), queue.last_event(&self.job, "finished"), digest);
        ended?;
        Ok(queue.vouches(&self.job, told.or_outage()?, &digest).await.or_outage()?)
    }

    /// What earlier stages passed on is the pipeline's to say: the event of the stage before carries a
    /// digest of it, and senders cannot write events.
    async fn check_made(&mut self, vouched: Option<bool>) -> Result<(), End> {
        match vouched {
            Some(true) => Ok(()),
            // The event may have been dropped for its age; a dead letter is kept for longer.
            None if self.run() > 0 || self.delivery.waited > Queue::EVENTS_KEPT.as_secs_f64() * 0.9 => {
                self.known.made.clear();
                Ok(())
            }
            _ => {
                // Whoever forges the next job of another one must not end that one.
                self.accept().await?;
                Err(Failure::from(FieldError::new("made", "(given)", "nothing; only the pipeline writes it")).into())
            }
        }
    }

    async fn check_canceled(&self) -> Result<(), End> {
        let canceled = self.shared.env.queue.is_canceled(&self.job, self.delivery.lane()).await.or_outage()?;
        if canceled { Err(End::Canceled) } else { Ok(()) }
    }

    fn check_times(&self, meta: &JobMeta) -> Result<(), End> {
        let now = OffsetDateTime::now_utc();
        let over = |time: Option<OffsetDateTime>| time.filter(|time| *time <= now);
        let late = |code: Code, what: &str, time: OffsetDateTime| {
            let (time, now) = (written(time), written(now));
            Err(Failure::reject(code, format!("{what}: {time} is in the past; the worker's time is {now}")).into())
        };
        match (over(meta.deadline), over(meta.start_before)) {
            (Some(time), _) => late(Code::Deadline, "deadline", time),
            (None, Some(time)) if self.is_first() => late(Code::StartBefore, "start_before", time),
            _ => self.check_until(meta),
        }
    }

    fn check_until(&self, meta: &JobMeta) -> Result<(), End> {
        let Some(name) = meta.until.as_deref() else { return Ok(()) };
        let steps = self.shared.env.queue.steps();
        let here = steps.iter().position(|step| step == self.shared.step).unwrap_or(0);
        let from_here = &steps[here..];
        if Step::named(from_here, name).is_some() {
            return Ok(());
        }
        let allowed: Vec<_> = from_here.iter().map(|step| step.stage).collect();
        Err(Failure::from(FieldError::new("until", name, allowed.join(" or "))).into())
    }

    /// A job that names another model goes to that pool, once.
    async fn check_model<J: Job>(&self, job: &J) -> Result<(), End> {
        let Some((field, wanted)) = job.model() else { return Ok(()) };
        let own = [DEFAULT_POOL, self.shared.model.as_str(), self.delivery.pool()];
        if own.contains(&wanted) {
            return Ok(());
        }
        let pools = self.shared.env.queue.pools(self.shared.step).await.or_outage()?;
        if pools.iter().any(|pool| pool == wanted) && !self.delivery.is_passed_on() {
            return Err(End::PassOn(wanted.to_owned()));
        }
        let mut names = vec![DEFAULT_POOL, self.shared.model.as_str()];
        names.extend(pools.iter().map(String::as_str));
        names.dedup();
        let error = FieldError::new(field, wanted, names.join(", "));
        Err(Failure::reject(Code::ModelMissing, error.to_string()).into())
    }

    /// Whether the job is complete after this stage.
    pub(super) fn is_last(&self, meta: &JobMeta) -> bool {
        let until = meta.until.as_deref().and_then(|name| Step::named(self.shared.env.queue.steps(), name));
        self.shared.next_step().is_none() || until == Some(self.shared.step)
    }
}

/// A time as the contract writes it, without fractions of a second.
fn written(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_else(|_| whole.to_string())
}
