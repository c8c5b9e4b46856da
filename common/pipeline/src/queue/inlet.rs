//! A durable consumer that is read one message at a time, by a part that is no stage.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures::StreamExt;

use super::Queue;
use crate::delivery::Delivery;

/// A pull that the server never answers (stopped, half-open link) is given up this late.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// Messages of one durable consumer; what comes while nobody reads is not lost.
#[derive(Debug)]
pub struct Inlet {
    consumer: Consumer<pull::Config>,
    /// How often a message in hand is to be held, so that nobody else gets it.
    pub heartbeat: Duration,
}

impl Queue {
    /// Opens a consumer that `streams apply` made; `flags` are those that it takes for it.
    ///
    /// # Errors
    /// The stream or the consumer is missing, or NATS refuses.
    pub async fn inlet(&self, stream: &str, name: &str, flags: &str) -> anyhow::Result<Inlet> {
        let stream = self.names.stream(stream);
        let found = self.context.get_consumer_from_stream(name, &stream).await;
        let hint = || format!("consumer {name} on {stream} is missing; run `shanshui streams apply{flags}`");
        let call = self.api(&format!("CONSUMER.INFO.{stream}.{name}"));
        let consumer = found.map_err(|error| self.explained(&call, error.into())).with_context(hint)?;
        let heartbeat = consumer.cached_info().config.ack_wait / 3;
        Ok(Inlet { consumer, heartbeat })
    }
}

impl Inlet {
    /// Waits a second for one message.
    ///
    /// # Errors
    /// NATS does not answer.
    pub async fn one(&self) -> anyhow::Result<Option<Delivery>> {
        one(&self.consumer).await?.map(Delivery::new).transpose()
    }
}

/// One message of any consumer, or none within a second.
pub(crate) async fn one(consumer: &Consumer<pull::Config>) -> anyhow::Result<Option<Message>> {
    // No idle heartbeat: with one, async-nats 0.51 loses the wake-up of a message that comes
    // after a heartbeat.
    let batch = consumer.batch().max_messages(1).expires(Duration::from_secs(1)).messages();
    let pulled = tokio::time::timeout(GIVEN_UP, async {
        let mut messages = batch.await.map_err(anyhow::Error::from)?;
        messages.next().await.transpose().map_err(anyhow::Error::from_boxed)
    });
    pulled.await.unwrap_or_else(|_| Err(anyhow::anyhow!("NATS does not answer a request for a job")))
}
