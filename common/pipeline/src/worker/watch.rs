//! Has readiness say what is wrong with the queue, whether or not there is a job to notice it.

use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;

use crate::causes::causes;
use crate::health::{Part, Scope};
use crate::queue::{LinkState, Queue};

/// How often it is looked at what is wrong.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is looked whether all is well, where nobody said that something has changed. Each look asks
/// once for every stream and consumer.
const REST: Duration = Duration::from_secs(300);
/// Changes that come together are looked at together, and not by all workers in the same moment.
const TOGETHER: std::ops::Range<f64> = 1.0..3.0;

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
/// worker does not meet before its next job. JetStream tells of it; what that tells is not trusted, only
/// looked into.
pub(super) async fn streams(queue: Queue, (stage, pools): (&'static str, Vec<String>), health: Scope) {
    let (mut known, mut link) = (None, queue.link_state());
    let mut news = queue.changes().await.ok();
    let mut looked = Instant::now();
    loop {
        let quiet = tokio::time::sleep(if known.is_some() { LOOK } else { REST });
        tokio::select! {
            () = quiet => {}
            () = heard(&mut news) => {}
            Ok(()) = link.changed() => {}
        }
        let spread = Duration::from_secs_f64(rand::random_range(TOGETHER));
        // However often something is told: whoever may publish could tell it.
        tokio::time::sleep(spread.max(LOOK.saturating_sub(looked.elapsed()))).await;
        queue.wait_connected().await;
        link.mark_unchanged();
        while heard(&mut news).now_or_never().is_some() {}
        looked = Instant::now();
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

/// Resolves when somebody has changed a stream; never where that cannot be heard.
async fn heard(news: &mut Option<Subscriber>) {
    if let Some(subscriber) = news
        && subscriber.next().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
