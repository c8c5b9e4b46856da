//! Taking jobs from the consumers of one or several pools, one at a time, lane by lane.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_nats::jetstream::Message;
use async_nats::{StatusCode, Subscriber};
use futures::StreamExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Queue;
use super::late::{Late, is_job, was_last};
use super::standing::{Heard, SHORT, Standing};
use crate::names;
use crate::step::Step;

/// A pull that the server never answers (stopped, half-open link) is given up this much later.
const SLACK: Duration = Duration::from_secs(10);
/// A consumer that had nothing is not asked again for so long while others have jobs.
const EMPTY: Duration = Duration::from_millis(100);
/// All that had nothing are asked to wait without another look, if that was no longer ago than this: hardly two of
/// them have got a job since.
const JUST: Duration = Duration::from_millis(5);

/// One consumer, and what it is owed.
#[derive(Debug)]
struct Turn {
    consumer: String,
    weight: i64,
    credit: i64,
    empty_since: Option<Instant>,
    /// When it had nothing last, as far as that is known.
    idle: Option<Instant>,
}

/// Takes jobs from several consumers by turns, so that no lane keeps others waiting (smooth
/// weighted round-robin). Within one consumer the order is that of publication.
pub(crate) struct Puller {
    queue: Queue,
    stream: String,
    turns: Vec<Turn>,
    /// Where the answers come of consumers that are asked one by one.
    asking: Option<(String, Subscriber)>,
    /// Where those are asked that wait for a job.
    standing: Option<Standing>,
    /// What was on its way when the last requests were taken back, and for which there is room.
    ending: Option<Late>,
    /// The last job took the last room: no request may stand any longer.
    full: bool,
}

/// What came of a pull.
#[derive(Default)]
pub(crate) struct Pulled {
    /// The job to work on.
    pub(crate) job: Option<Message>,
    /// Jobs that came at the same moment and are to be handed back at once.
    pub(crate) late: Option<Late>,
}

/// What a consumer says to a request.
pub(super) enum Answer {
    Job(Box<Message>),
    /// The time is over.
    Nothing,
    /// It waits on.
    Waits,
    /// It waits no longer, and the time is not over.
    Gone,
}

impl Puller {
    /// Takes from these pools of a step, each with its weight.
    pub(crate) fn new(queue: &Queue, step: &Step, pools: &[(String, u32)]) -> Self {
        let mut turns = Vec::new();
        for (pool, weight) in pools {
            let consumers = names::consumers(step.stage, pool);
            // A pool's weight is that of all its consumers together.
            let weight = i64::from(*weight) * i64::from(names::PARTITIONS) / consumers.len() as i64;
            let turn = |(consumer, _)| Turn { consumer, weight, credit: 0, empty_since: None, idle: None };
            turns.extend(consumers.into_iter().map(turn));
        }
        Self {
            queue: queue.clone(),
            stream: queue.names.stream(&step.stream()),
            turns,
            asking: None,
            standing: None,
            ending: None,
            full: false,
        }
    }

    /// One job, or none after a while or when `stop` is cancelled, for a worker that has room for `free` jobs.
    ///
    /// Requests stand at the consumers between two calls, never more of them than there is room. If there is room
    /// for fewer jobs than there are consumers, one consumer after the other is asked, until it is known that
    /// none has a job. Then all are asked to wait, and what comes too late is handed back.
    pub(crate) async fn one(&mut self, free: usize, stop: &CancellationToken) -> anyhow::Result<Pulled> {
        if let Some(heard) = self.heard() {
            return self.act_on(heard, free, stop).await;
        }
        if free < self.turns.len() && !self.is_known_empty() {
            self.ending = self.withdraw().await;
        }
        if let Some(job) = self.ended().await {
            let late = if free <= 1 { self.ending.take() } else { None };
            return Ok(Pulled { job: Some(job), late });
        }
        if free < self.turns.len() && !self.is_known_empty() {
            let pulled = self.now().await?;
            if pulled.job.is_some() {
                return Ok(pulled);
            }
        }
        self.wait(free, stop).await
    }

    /// Takes back all requests that stand, for a worker that has no room, or is not to take a job now.
    pub(crate) async fn withdraw(&mut self) -> Option<Late> {
        match self.standing.take() {
            Some(standing) => standing.end(self.queue.context.clone()).await,
            None => self.ending.take(),
        }
    }

    /// Takes them back if the last job took the last room. That is not done before its worker has begun with it: what
    /// it says first then goes out with this, in one write.
    pub(crate) async fn trim(&mut self) -> Option<Late> {
        if std::mem::take(&mut self.full) { self.withdraw().await } else { None }
    }

    /// A job that came when its request was taken back.
    async fn ended(&mut self) -> Option<Message> {
        let job = self.ending.as_mut()?.next().await;
        if job.is_none() {
            self.ending = None;
        }
        job
    }

    fn is_known_empty(&self) -> bool {
        let stands = |at| self.standing.as_ref().is_some_and(|standing| standing.stands(at));
        let idle = |turn: &Turn| turn.idle.is_some_and(|since| since.elapsed() < JUST);
        self.turns.iter().enumerate().all(|(at, turn)| stands(at) || idle(turn))
    }

    /// One job that nobody else waits for, or none.
    pub(crate) async fn now(&mut self) -> anyhow::Result<Pulled> {
        for at in self.order() {
            match self.ask(at).await? {
                Answer::Job(message) => {
                    self.served(at);
                    self.turns[at].idle = was_last(&message);
                    return Ok(Pulled { job: Some(*message), late: None });
                }
                _ => {
                    let turn = &mut self.turns[at];
                    (turn.empty_since, turn.idle, turn.credit) = (Some(Instant::now()), Some(Instant::now()), 0);
                }
            }
        }
        Ok(Pulled::default())
    }

    /// Consumers in the order in which they are asked.
    fn order(&mut self) -> Vec<usize> {
        let asked = |turn: &Turn| turn.empty_since.is_none_or(|since| since.elapsed() > EMPTY);
        let mut order: Vec<usize> = (0..self.turns.len()).filter(|at| asked(&self.turns[*at])).collect();
        order.sort_by_key(|at| std::cmp::Reverse(self.turns[*at].credit + self.turns[*at].weight));
        order
    }

    /// Consumer `at` was served: all that have jobs are owed more, and it less.
    fn served(&mut self, at: usize) {
        self.turns[at].empty_since = None;
        let busy = self.turns.iter_mut().filter(|turn| turn.empty_since.is_none());
        let total: i64 = busy
            .map(|turn| {
                turn.credit += turn.weight;
                turn.weight
            })
            .sum();
        self.turns[at].credit -= total;
    }

    fn subject(&self, at: usize) -> String {
        self.queue.api(&format!("CONSUMER.MSG.NEXT.{}.{}", self.stream, self.turns[at].consumer))
    }

    /// Asks one consumer for a job that is there now. A delivery keeps the subject of its job, so the
    /// answers need a subscription of their own.
    async fn ask(&mut self, at: usize) -> anyhow::Result<Answer> {
        let (inbox, mut answers) = match self.asking.take() {
            Some(asking) => asking,
            None => {
                let inbox = self.queue.client.new_inbox();
                (inbox.clone(), self.queue.client.subscribe(inbox).await?)
            }
        };
        let request = json!({ "batch": 1, "no_wait": true }).to_string();
        self.queue.client.publish_with_reply(self.subject(at), inbox.clone(), request.into()).await?;
        let answer = tokio::time::timeout(SLACK, answers.next()).await;
        let answer = answer.ok().flatten().context("NATS does not answer a request for a job")?;
        let answer = self.read(answer)?;
        self.asking = Some((inbox, answers));
        Ok(answer)
    }

    /// Has a request stand at each consumer, and takes the first job.
    async fn wait(&mut self, free: usize, stop: &CancellationToken) -> anyhow::Result<Pulled> {
        let mut standing = match self.standing.take() {
            Some(standing) => standing,
            None => Standing::open(&self.queue, self.turns.len()).await?,
        };
        for at in 0..self.turns.len() {
            if !standing.stands(at) {
                standing.ask(at, self.subject(at)).await?;
            }
        }
        let heard = standing.next(stop, |message| self.read(message)).await;
        self.standing = Some(standing);
        self.act_on(heard, free, stop).await
    }

    fn heard(&mut self) -> Option<anyhow::Result<Heard>> {
        let mut standing = self.standing.take()?;
        let heard = standing.now(|message| self.read(message));
        self.standing = Some(standing);
        heard
    }

    async fn act_on(
        &mut self,
        heard: anyhow::Result<Heard>,
        free: usize,
        stop: &CancellationToken,
    ) -> anyhow::Result<Pulled> {
        match heard {
            Ok(Heard::Job(message)) => {
                let known = self.came(&message);
                self.full = free <= 1 || !known;
                Ok(Pulled { job: Some(*message), late: None })
            }
            Ok(Heard::Over(at)) => {
                self.turns[at].idle = Some(Instant::now());
                Ok(Pulled::default())
            }
            Ok(Heard::Cut) => {
                let opened = self.standing.as_ref().map_or_else(Instant::now, |standing| standing.opened);
                let late = self.withdraw().await;
                // A server that refuses to wait must not be asked without end.
                let _ = tokio::time::timeout(SHORT.saturating_sub(opened.elapsed()), stop.cancelled()).await;
                Ok(Pulled { job: None, late })
            }
            Err(error) => {
                self.standing = None;
                Err(error)
            }
        }
    }

    /// A job came to one of the requests that stand, and so the others had nothing until now; says whether it
    /// is known to which.
    fn came(&mut self, message: &Message) -> bool {
        let consumer = message.info().map(|info| info.consumer.to_owned()).unwrap_or_default();
        let (of, now) = (self.turns.iter().position(|turn| turn.consumer == consumer), Some(Instant::now()));
        for (at, turn) in self.turns.iter_mut().enumerate() {
            turn.empty_since = None;
            if Some(at) == of {
                turn.idle = was_last(message);
            } else if self.standing.as_ref().is_some_and(|standing| standing.stands(at)) {
                turn.idle = now;
            }
        }
        let (Some(at), Some(standing)) = (of, &mut self.standing) else { return false };
        standing.answered(at);
        true
    }

    fn read(&self, message: async_nats::Message) -> anyhow::Result<Answer> {
        let described = message.description.as_deref().unwrap_or_default();
        match message.status {
            _ if is_job(&message) => {
                Ok(Answer::Job(Box::new(Message { message, context: self.queue.context.clone() })))
            }
            Some(StatusCode::NO_RESPONDERS) => {
                bail!("JetStream does not answer for stream {} (disabled, or the stream is missing)", self.stream)
            }
            // 409 has many reasons; only this one does not pass.
            Some(status) if described.contains("Consumer Deleted") => bail!("{status} {described}"),
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(Answer::Waits),
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => Ok(Answer::Nothing),
            _ => Ok(Answer::Gone),
        }
    }
}
