//! Taking messages from a durable consumer, one at a time.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures::StreamExt;

/// A pull ends after this long without a message. A drain waits for the running pull to end,
/// because a message that arrives at a pull just given up would be lost for a whole ack wait.
pub(crate) const PULL: Duration = Duration::from_secs(1);
/// A pull that the server never answers (stopped, half-open link) is given up this much later.
pub(crate) const SLACK: Duration = Duration::from_secs(10);

/// One message, or none within [`PULL`].
pub(crate) async fn one(consumer: &Consumer<pull::Config>) -> anyhow::Result<Option<Message>> {
    // No idle heartbeat: with one, async-nats 0.51 loses the wake-up of a message that comes
    // after a heartbeat. No standing pull: it takes jobs while this worker is busy.
    let batch = consumer.batch().max_messages(1).expires(PULL).messages();
    let pulled = tokio::time::timeout(PULL + SLACK, async {
        let mut messages = batch.await.map_err(anyhow::Error::from)?;
        messages.next().await.transpose().map_err(anyhow::Error::from_boxed)
    });
    pulled.await.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer to a pull")))
}
