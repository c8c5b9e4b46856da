//! The two loops: ends of jobs become messages of the queue, and these become requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shanshui_pipeline::delivery::Delivery;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::{Burial, Inlet};
use shanshui_pipeline::{Code, Event, causes};
use tokio::task::JoinSet;

use super::Hook;
use super::post::{Sender, Unheard};
use super::tell::Due;
use crate::gateway::Gateway;
use crate::seats::{Seat, Seats};

/// Requests in work: all, those to one host, those of one caller. A slow receiver holds up no other.
const MOST: usize = 1024;
const HOST: usize = 32;
const CALLER: usize = 256;
/// Before a message comes again for which there is no place.
const NO_PLACE: Duration = Duration::from_secs(10);
/// Before the second try; each pause after it is three times the age of the message.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Tries that every webhook gets, however long all gateways were away.
const LEAST: u64 = 3;
/// Between two looks at what is still to be told.
const LOOK: Duration = Duration::from_secs(10);
/// Longest pause before an end comes again that could not be dealt with.
const UNHEARD: Duration = Duration::from_secs(60);
/// After a failure of our own.
const AGAIN: Duration = Duration::from_secs(2);

/// Tells receivers for ever, if there is a secret to sign with.
pub(crate) async fn work(gateway: &Gateway) -> Infallible {
    if gateway.options.gateway_secret.is_none() {
        return std::future::pending().await;
    }
    let sender = loop {
        match Sender::new() {
            Ok(sender) => break Arc::new(sender),
            Err(error) => failed(&error).await,
        }
    };
    let [ends, dues] = loop {
        gateway.queue.wait_connected().await;
        match gateway.queue.webhook_inlets().await {
            Ok(inlets) => break inlets,
            Err(error) => failed(&error).await,
        }
    };
    tokio::join!(hear(gateway, &ends), tell(gateway, &dues, &sender), measure(gateway)).0
}

/// What is still to be told, for `/metrics`. Every gateway says the same.
async fn measure(gateway: &Gateway) -> Infallible {
    loop {
        match gateway.queue.webhook_level().await {
            Ok(level) => gateway.metrics.webhooks_due(level),
            Err(error) => tracing::debug!(error = causes(&error), "cannot measure webhooks; trying again"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn failed(error: &anyhow::Error) {
    tracing::warn!(error = causes(error), "cannot send webhooks; trying again");
    tokio::time::sleep(AGAIN).await;
}

/// Ends of jobs that somebody wants to be told of go to the queue of webhooks.
async fn hear(gateway: &Gateway, ends: &Inlet) -> Infallible {
    loop {
        let heard = match ends.one().await {
            Ok(Some(delivery)) => heard(gateway, &delivery).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = heard {
            failed(&error).await;
        }
    }
}

/// An end that cannot be dealt with now comes again, and keeps none behind it waiting.
async fn heard(gateway: &Gateway, delivery: &Delivery) -> anyhow::Result<()> {
    let Err(error) = queue(gateway, delivery).await else { return Ok(()) };
    let (sequence, error) = (delivery.sequence, causes(&error));
    if is_late(gateway, delivery) {
        tracing::error!(sequence, error, "cannot queue the webhook of a job that has ended; it is given up");
        return delivery.ack().await;
    }
    tracing::warn!(sequence, error, "cannot queue the webhook of a job that has ended; trying again");
    delivery.hand_back(pause(delivery.waited).min(UNHEARD)).await
}

async fn queue(gateway: &Gateway, delivery: &Delivery) -> anyhow::Result<()> {
    let original = delivery.original();
    let mut tokens = original.subject.rsplit('.');
    let run = tokens.next().and_then(|run| run.parse().ok());
    let job = tokens.next().and_then(|job| JobId::parse("job", job).ok());
    if let (Some(run), Some(job)) = (run, job)
        && let Some(end) = Envelope::read(original.payload, &job).filter(|end| end.data.is_final())
        && let Some(wish) = gateway.queue.wanted_webhook(&job).await?
        && let Ok(hook) = serde_json::from_slice::<Hook>(&wish)
    {
        let (lane, due) = (hook.lane.clone(), Due::of(hook, run, end));
        gateway.queue.queue_webhook(&lane, (&job, run), serde_json::to_vec(&due)?.into()).await?;
    }
    delivery.ack().await
}

/// Each message of the queue becomes a request, many at a time.
async fn tell(gateway: &Gateway, dues: &Inlet, sender: &Arc<Sender>) -> Infallible {
    let (mut requests, hosts, callers) = (JoinSet::new(), Seats::new(HOST), Seats::new(CALLER));
    loop {
        while requests.try_join_next().is_some() || (requests.len() >= MOST && requests.join_next().await.is_some()) {}
        let delivery = match dues.one().await {
            Ok(Some(delivery)) => delivery,
            Ok(None) => continue,
            Err(error) => {
                failed(&error).await;
                continue;
            }
        };
        let told = Told { gateway: gateway.clone(), sender: Arc::clone(sender), delivery, heartbeat: dues.heartbeat };
        let due = Due::read(told.delivery.original().payload);
        let host = due.as_ref().and_then(|due| Some(due.target(&gateway.options.webhook_allow).ok()?.host));
        let places =
            (hosts.take(&host.unwrap_or_default()), callers.take(due.as_ref().map_or("", |due| &due.hook.caller)));
        requests.spawn(async move {
            let settled = match places {
                (Some(host), Some(caller)) => told.settle(due, [host, caller]).await,
                _ => {
                    told.gateway.metrics.webhook("no-place");
                    told.delivery.hand_back(NO_PLACE).await
                }
            };
            if let Err(error) = settled {
                tracing::warn!(error = causes(&error), "cannot settle a webhook; it comes again");
            }
        });
    }
}

/// One message in work.
struct Told {
    gateway: Gateway,
    sender: Arc<Sender>,
    delivery: Delivery,
    heartbeat: Duration,
}

impl Told {
    async fn settle(&self, due: Option<Due>, _places: [Seat; 2]) -> anyhow::Result<()> {
        let named = due.and_then(|due| Some((due.job()?, due)));
        let Some((job, due)) = named else { return self.bury("(unknown)", "this is no webhook").await };
        let met = match self.held(self.send(&job, &due)).await {
            Ok(()) => {
                self.gateway.metrics.webhook("delivered");
                tracing::info!(%job, run = due.run, attempt = self.delivery.delivered, "a webhook is delivered");
                // Only a job that has failed may have another run, and its receiver wants to hear of that.
                let over = !matches!(due.end.data, Event::Failed { .. });
                return self.over(over.then_some(&job)).await;
            }
            Err(met) => met,
        };
        match met {
            Unheard::Later(reason) if !is_late(&self.gateway, &self.delivery) => {
                let pause = pause(self.delivery.waited);
                self.gateway.metrics.webhook("again");
                tracing::info!(%job, attempt = self.delivery.delivered, reason, delay_seconds = pause.as_secs(), "a webhook comes again");
                self.delivery.hand_back(pause).await
            }
            Unheard::Later(reason) | Unheard::Never(reason) => {
                tracing::warn!(%job, attempt = self.delivery.delivered, reason, "a webhook is given up");
                self.bury(job.as_str(), &format!("webhook {}: {reason}", super::target::shown(&due.hook.url))).await
            }
        }
    }

    async fn send(&self, job: &JobId, due: &Due) -> Result<(), Unheard> {
        let options = &self.gateway.options;
        let secret = options.gateway_secret.as_ref().ok_or_else(|| Unheard::Later("no secret".to_owned()))?;
        let target = due.target(&options.webhook_allow)?;
        let body = due.body(&self.gateway, job).await?;
        let request = due.request(job, &target, secret, body);
        self.sender
            .send(&due.hook.caller, &target, request.ok_or_else(|| Unheard::Never("its address is none".to_owned()))?)
            .await
    }

    /// Keeps the message meanwhile.
    async fn held<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(self.heartbeat) => {
                    if let Err(error) = self.delivery.hold().await {
                        tracing::debug!(%error, "a webhook may be sent twice");
                    }
                }
            }
        }
    }

    /// Copies it to DEAD, from where an operator replays it.
    async fn bury(&self, job: &str, reason: &str) -> anyhow::Result<()> {
        self.gateway.metrics.webhook("given-up");
        let worker = std::process::id().to_string();
        let burial = Burial {
            stage: "webhook",
            job,
            worker: &worker,
            code: Code::Failed,
            reason,
            attempts: self.delivery.delivered,
            sequence: self.delivery.sequence,
        };
        self.gateway.queue.bury(&burial, &self.delivery.original()).await.context("cannot bury a webhook")?;
        self.over(None).await
    }

    /// The message is done. That it stays on the stream for some days harms nobody; only its room is missed.
    async fn over(&self, job: Option<&JobId>) -> anyhow::Result<()> {
        self.delivery.ack().await?;
        if let Err(error) = self.gateway.queue.forget_webhook(self.delivery.sequence, job).await {
            tracing::debug!(error = causes(&error), "a webhook that is over stays on its stream");
        }
        Ok(())
    }
}

/// Whether a message has been tried for as long as it may be.
fn is_late(gateway: &Gateway, delivery: &Delivery) -> bool {
    delivery.delivered >= LEAST && delivery.waited >= gateway.options.webhook_seconds as f64
}

/// Grows with the age of a message, so that it is the same whoever tries; with jitter.
fn pause(age: f64) -> Duration {
    let pause = Duration::from_secs_f64(age * 3.0).clamp(PAUSE, LONGEST);
    pause.mul_f64(rand::random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_quarter_of_a_day() {
        let (mut age, mut tries) = (0.1, 1);
        while age < 86_400.0 {
            let pause = pause(age).as_secs_f64();
            assert!((4.0..=6.0 * 3600.0 * 1.2).contains(&pause), "{age}: {pause}");
            (age, tries) = (age + pause, tries + 1);
        }
        assert!((8..=14).contains(&tries), "{tries} tries in a day");
    }
}
