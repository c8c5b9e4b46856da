//! A worker says what it is and what it agrees to, again and again: nobody keeps it.

use std::convert::Infallible;
use std::time::Duration;

use serde_json::{Value, json};

use crate::names;
use crate::queue::Queue;

/// Between two announcements.
const PAUSE: Duration = Duration::from_secs(5);

/// What is announced.
pub(super) struct Announced {
    pub(super) stage: &'static str,
    pub(super) worker: String,
    pub(super) pools: Vec<String>,
    /// Name of its model.
    pub(super) model: String,
    /// What the stage says of itself.
    pub(super) about: Value,
}

/// Announces for ever. What is lost comes again.
pub(super) async fn announce(queue: Queue, own: Announced) {
    match go_on(&queue, &own).await {}
}

async fn go_on(queue: &Queue, own: &Announced) -> Infallible {
    let Announced { stage, worker, pools, model, about } = own;
    let subject = queue.names().worker(stage, &names::token(worker));
    let told = json!({
        "stage": stage, "worker": worker, "pools": pools, "model": model, "version": env!("CARGO_PKG_VERSION"),
        "about": about,
    });
    let payload = bytes::Bytes::from(told.to_string());
    loop {
        queue.wait_connected().await;
        if let Err(error) = queue.client.publish(subject.clone(), payload.clone()).await {
            tracing::debug!(%error, "an announcement was not sent");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
