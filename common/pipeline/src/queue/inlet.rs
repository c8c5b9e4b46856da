//! A durable consumer that is read one message at a time, by a part that is no stage.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{Consumer, pull};

use super::{Queue, pull as pulling};
use crate::delivery::Delivery;

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
        pulling::one(&self.consumer).await?.map(Delivery::new).transpose()
    }
}
