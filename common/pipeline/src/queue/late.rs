//! Jobs that come when nobody asks for them any more.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Message};
use async_nats::{StatusCode, Subscriber};
use futures::StreamExt;

/// Longest wait for messages that were on their way when a pull was taken back.
const LATE: Duration = Duration::from_secs(2);

/// Jobs that were on their way when their pull was taken back: dropped, they would wait for a whole ack wait. The
/// server has yet to say that none follows, and the job that came first need not wait for that.
pub(crate) struct Late {
    answers: Subscriber,
    context: jetstream::Context,
    until: Instant,
}

impl Late {
    /// What still comes over a subscription that is being ended.
    pub(super) fn new(answers: Subscriber, context: jetstream::Context) -> Self {
        Self { answers, context, until: Instant::now() + LATE }
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let rest = self.until.saturating_duration_since(Instant::now());
        let job = tokio::time::timeout(rest, async {
            while let Some(message) = self.answers.next().await {
                if is_job(&message) {
                    return Some(message);
                }
            }
            None
        });
        let message = job.await.ok().flatten()?;
        Some(Message { message, context: self.context.clone() })
    }
}

/// Whether an answer to a pull is a job, and not word of the pull itself.
pub(super) fn is_job(message: &async_nats::Message) -> bool {
    matches!(message.status, None | Some(StatusCode::OK)) && message.reply.is_some()
}

/// The time, if the consumer of this job has nothing more that was not delivered yet.
pub(super) fn was_last(message: &Message) -> Option<Instant> {
    let pending = message.info().map_or(1, |info| info.pending);
    (pending == 0).then(Instant::now)
}
