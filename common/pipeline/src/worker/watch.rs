//! Has readiness say what is wrong with the queue, whether or not there is a job to notice it.

use std::time::Duration;

use tokio::sync::watch;

use crate::causes::causes;
use crate::health::{Part, Scope};
use crate::queue::{LinkState, Queue};

/// How often it is looked at unasked.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the connection.
pub(super) async fn link(mut state: watch::Receiver<LinkState>, health: Scope) {
    loop {
        match state.borrow_and_update().trouble() {
            Some(trouble) => health.down(Part::Nats, trouble),
            None => health.up(Part::Nats),
        }
        // Refusals are forgotten after a time.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK, state.changed()).await {
            return health.health().die("the NATS client has ended for good: restart this process");
        }
    }
}

/// Follows the streams and the consumer of `stage`: somebody may change or delete one that this
/// worker does not meet before its next job.
pub(super) async fn streams(queue: Queue, (stage, pools): (&'static str, Vec<String>), health: Scope) {
    let mut known = None;
    loop {
        tokio::time::sleep(LOOK).await;
        queue.wait_connected().await;
        let wrong = queue.check(stage, &pools).await.err().map(|error| causes(&error));
        match &wrong {
            Some(wrong) => health.down(Part::Streams, wrong),
            None => health.up(Part::Streams),
        }
        if let Some(wrong) = wrong.as_ref().filter(|wrong| known.as_ref() != Some(*wrong)) {
            tracing::error!(error = wrong, "a stream or consumer is missing or wrong");
        }
        known = wrong;
    }
}
