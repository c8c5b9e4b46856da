//! Taking jobs from the consumers of one or several pools, one at a time, lane by lane.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::{StatusCode, Subscriber};
use futures::StreamExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Queue;
use super::late::{Late, is_job};
use crate::names;
use crate::step::Step;

/// How long the consumers are asked to wait for a job before they are asked again: an idle worker costs
/// NATS one request for each of its consumers in this time.
const WAIT: Duration = Duration::from_secs(120);
/// A consumer that waits says so this often. It is the server that speaks, so that this costs no request.
const BEAT: Duration = Duration::from_secs(10);
/// A consumer that has said nothing for so long has forgotten who waits: its leader is another server now,
/// or none.
const SILENCE: Duration = Duration::from_secs(25);
/// How often it is looked whether one is silent.
const LOOK: Duration = Duration::from_secs(5);
/// A wait that ended sooner than this is not asked for again at once.
const SHORT: Duration = Duration::from_secs(1);
/// A pull that the server never answers (stopped, half-open link) is given up this much later.
const SLACK: Duration = Duration::from_secs(10);
/// A consumer that had nothing is not asked again for so long while others have jobs.
const EMPTY: Duration = Duration::from_millis(100);

/// One consumer, and what it is owed.
#[derive(Debug)]
struct Turn {
    consumer: String,
    weight: i64,
    credit: i64,
    empty_since: Option<Instant>,
}

/// Takes jobs from several consumers by turns, so that no lane keeps others waiting (smooth
/// weighted round-robin). Within one consumer the order is that of publication.
pub(crate) struct Puller {
    queue: Queue,
    stream: String,
    turns: Vec<Turn>,
    /// Where the answers come of consumers that are asked one by one.
    asking: Option<(String, Subscriber)>,
    /// All consumers waited for the whole time and had nothing: nobody need be asked before they wait again.
    rested: bool,
}

/// What came of a pull.
#[derive(Default)]
pub(crate) struct Pulled {
    /// The job to work on.
    pub(crate) job: Option<Message>,
    /// Jobs that came at the same moment and are to be handed back at once.
    pub(crate) late: Option<Late>,
}

/// How a pull ended that brought no message.
enum Answer {
    Job(Box<Message>),
    /// The time is over.
    Nothing,
    /// It waits on.
    Waits,
    /// It waits no longer, and the time is not over.
    Gone,
}

/// How a wait ended.
enum Waited {
    Job(Box<Message>),
    /// Nobody had a job in all that time.
    Whole,
    /// Asked to stop, or a consumer may have forgotten it.
    Cut,
}

impl Puller {
    /// Takes from these pools of a step, each with its weight.
    pub(crate) fn new(queue: &Queue, step: &Step, pools: &[(String, u32)]) -> Self {
        let mut turns = Vec::new();
        for (pool, weight) in pools {
            let consumers = names::consumers(step.stage, pool);
            // A pool's weight is that of all its consumers together.
            let weight = i64::from(*weight) * i64::from(names::PARTITIONS) / consumers.len() as i64;
            let turn = |(consumer, _)| Turn { consumer, weight, credit: 0, empty_since: None };
            turns.extend(consumers.into_iter().map(turn));
        }
        Self { queue: queue.clone(), stream: queue.names.stream(&step.stream()), turns, asking: None, rested: false }
    }

    /// One job, or none within [`WAIT`] or when `stop` is cancelled.
    pub(crate) async fn one(&mut self, stop: &CancellationToken) -> anyhow::Result<Pulled> {
        if !std::mem::take(&mut self.rested) {
            let pulled = self.now().await?;
            if pulled.job.is_some() {
                return Ok(pulled);
            }
        }
        self.wait(stop).await
    }

    /// One job that nobody else waits for, or none.
    pub(crate) async fn now(&mut self) -> anyhow::Result<Pulled> {
        for at in self.order() {
            match self.ask(at).await? {
                Answer::Job(message) => {
                    self.served(at);
                    return Ok(Pulled { job: Some(*message), late: None });
                }
                _ => {
                    self.turns[at].empty_since = Some(Instant::now());
                    self.turns[at].credit = 0;
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

    /// Asks all consumers to wait, and takes the first job.
    async fn wait(&mut self, stop: &CancellationToken) -> anyhow::Result<Pulled> {
        let (inbox, began) = (self.queue.client.new_inbox(), Instant::now());
        // An answer comes to the inbox of the consumer that gives it.
        let mut answers = self.queue.client.subscribe(format!("{inbox}.*")).await?;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let request = json!({ "batch": 1, "expires": nanos(WAIT), "idle_heartbeat": nanos(BEAT) }).to_string();
        for at in 0..self.turns.len() {
            let (subject, inbox) = (self.subject(at), format!("{inbox}.{at}"));
            self.queue.client.publish_with_reply(subject, inbox, request.clone().into()).await?;
        }
        let waited = self.first(&mut answers, stop).await;
        let late = self.take_back(answers).await;
        self.turns.iter_mut().for_each(|turn| turn.empty_since = None);
        let job = match waited? {
            Waited::Job(message) => Some(*message),
            Waited::Whole => {
                self.rested = true;
                None
            }
            Waited::Cut => {
                // A server that refuses to wait must not be asked without end.
                let pause = SHORT.saturating_sub(began.elapsed());
                let _ = tokio::time::timeout(pause, stop.cancelled()).await;
                None
            }
        };
        Ok(Pulled { job, late })
    }

    async fn first(&self, answers: &mut Subscriber, stop: &CancellationToken) -> anyhow::Result<Waited> {
        let mut link = self.queue.link_state();
        link.mark_unchanged();
        let mut look = tokio::time::interval(LOOK);
        // For each consumer when it was heard last, as long as it waits.
        let mut heard = vec![Some(Instant::now()); self.turns.len()];
        while heard.iter().any(Option::is_some) {
            let message = tokio::select! {
                biased;
                message = answers.next() => message.context("the subscription of a pull ended")?,
                // A server that starts anew has forgotten who waits.
                _ = link.changed() => return Ok(Waited::Cut),
                () = stop.cancelled() => return Ok(Waited::Cut),
                _ = look.tick() => {
                    let silent = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() > SILENCE);
                    if heard.iter().all(|at| at.is_none() || silent(at)) {
                        bail!("NATS does not answer a request for a job");
                    }
                    if heard.iter().any(silent) {
                        return Ok(Waited::Cut);
                    }
                    continue;
                }
            };
            let at = message.subject.rsplit('.').next().and_then(|at| at.parse::<usize>().ok());
            let of = at.and_then(|at| heard.get_mut(at));
            match (self.read(message)?, of) {
                (Answer::Job(message), _) => return Ok(Waited::Job(message)),
                (Answer::Waits, Some(heard)) => *heard = Some(Instant::now()),
                (Answer::Nothing, Some(heard)) => *heard = None,
                (Answer::Gone, _) => return Ok(Waited::Cut),
                (_, None) => {}
            }
        }
        Ok(Waited::Whole)
    }

    /// Ends the subscription; what follows is told without waiting for it.
    async fn take_back(&self, mut answers: Subscriber) -> Option<Late> {
        answers.drain().await.ok()?;
        Some(Late::new(answers, self.queue.context.clone()))
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

/// One message of any consumer, or none within a second.
pub(crate) async fn one(consumer: &Consumer<pull::Config>) -> anyhow::Result<Option<Message>> {
    // No idle heartbeat: with one, async-nats 0.51 loses the wake-up of a message that comes
    // after a heartbeat.
    let batch = consumer.batch().max_messages(1).expires(Duration::from_secs(1)).messages();
    let pulled = tokio::time::timeout(SLACK, async {
        let mut messages = batch.await.map_err(anyhow::Error::from)?;
        messages.next().await.transpose().map_err(anyhow::Error::from_boxed)
    });
    pulled.await.unwrap_or_else(|_| Err(anyhow::anyhow!("NATS does not answer a request for a job")))
}
