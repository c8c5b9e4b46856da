//! Requests for a job that stand at their consumers until there is one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_nats::jetstream;
use async_nats::{Client, Subscriber};
use futures::{FutureExt, StreamExt};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::late::Late;
use super::pull::Answer;
use super::{LinkState, Queue};

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
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// What is heard where requests stand.
pub(super) enum Heard {
    /// A job.
    Job(Box<jetstream::Message>),
    /// The time of one request is over; this consumer had nothing.
    Over(usize),
    /// Asked to stop, or a consumer may have forgotten who waits.
    Cut,
}

/// One request.
struct Request {
    since: Instant,
    heard: Instant,
}

/// At most one request at each consumer, all answered over one subscription. With its end they are taken back.
pub(super) struct Standing {
    client: Client,
    inbox: String,
    answers: Subscriber,
    link: watch::Receiver<LinkState>,
    requests: Vec<Option<Request>>,
    /// When there was none yet.
    pub(super) opened: Instant,
}

impl Standing {
    /// None yet, at so many consumers.
    pub(super) async fn open(queue: &Queue, consumers: usize) -> anyhow::Result<Self> {
        let (client, inbox, mut link) = (queue.client.clone(), queue.client.new_inbox(), queue.link_state());
        link.mark_unchanged();
        // What is said of a request comes to the inbox of its consumer.
        let answers = client.subscribe(format!("{inbox}.*")).await?;
        let requests = (0..consumers).map(|_| None).collect();
        Ok(Self { client, inbox, answers, link, requests, opened: Instant::now() })
    }

    /// Whether one stands at this consumer.
    pub(super) fn stands(&self, at: usize) -> bool {
        self.requests[at].is_some()
    }

    /// Asks a consumer, by the subject on which it is asked.
    pub(super) async fn ask(&mut self, at: usize, subject: String) -> anyhow::Result<()> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let request = json!({ "batch": 1, "expires": nanos(WAIT), "idle_heartbeat": nanos(BEAT) }).to_string();
        self.client.publish_with_reply(subject, format!("{}.{at}", self.inbox), request.into()).await?;
        let now = Instant::now();
        self.requests[at] = Some(Request { since: now, heard: now });
        Ok(())
    }

    /// The request at this consumer was answered by a job.
    pub(super) fn answered(&mut self, at: usize) {
        self.requests[at] = None;
    }

    /// What has been heard by now, if that is anything to act on.
    pub(super) fn now(
        &mut self,
        read: impl Fn(async_nats::Message) -> anyhow::Result<Answer>,
    ) -> Option<anyhow::Result<Heard>> {
        while let Some(Some(message)) = self.answers.next().now_or_never() {
            if let Some(heard) = self.hear(message, &read).transpose() {
                return Some(heard);
            }
        }
        None
    }

    /// Waits until there is something to act on.
    pub(super) async fn next(
        &mut self,
        stop: &CancellationToken,
        read: impl Fn(async_nats::Message) -> anyhow::Result<Answer>,
    ) -> anyhow::Result<Heard> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let message = tokio::select! {
                biased;
                message = self.answers.next() => message.context("the subscription of a pull ended")?,
                // A server that starts anew has forgotten who waits.
                _ = self.link.changed() => return Ok(Heard::Cut),
                () = stop.cancelled() => return Ok(Heard::Cut),
                _ = look.tick() => match self.is_forgotten()? {
                    true => return Ok(Heard::Cut),
                    false => continue,
                },
            };
            if let Some(heard) = self.hear(message, &read)? {
                return Ok(heard);
            }
        }
    }

    fn is_forgotten(&self) -> anyhow::Result<bool> {
        let mut silent = self.requests.iter().flatten().map(|request| request.heard.elapsed() > SILENCE).peekable();
        if silent.peek().is_some() && silent.clone().all(|silent| silent) {
            bail!("NATS does not answer a request for a job");
        }
        Ok(silent.any(|silent| silent))
    }

    fn hear(
        &mut self,
        message: async_nats::Message,
        read: impl Fn(async_nats::Message) -> anyhow::Result<Answer>,
    ) -> anyhow::Result<Option<Heard>> {
        let at = message.subject.rsplit('.').next().and_then(|at| at.parse::<usize>().ok());
        let answer = read(message)?;
        if let Answer::Job(job) = answer {
            return Ok(Some(Heard::Job(job)));
        }
        let Some((at, request)) = at.and_then(|at| Some((at, self.requests.get_mut(at)?.as_mut()?))) else {
            return Ok(None);
        };
        match answer {
            Answer::Waits => {
                request.heard = Instant::now();
                Ok(None)
            }
            Answer::Nothing if request.since.elapsed() > SHORT => {
                self.requests[at] = None;
                Ok(Some(Heard::Over(at)))
            }
            _ => Ok(Some(Heard::Cut)),
        }
    }

    /// Takes all back; what follows is told without waiting for it.
    pub(super) async fn end(mut self, context: jetstream::Context) -> Option<Late> {
        self.answers.drain().await.ok()?;
        Some(Late::new(self.answers, context))
    }
}
