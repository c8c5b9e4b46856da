//! Telling the server what becomes of a message, and hearing that it knows.

use std::sync::atomic::{AtomicU32, Ordering};

use super::attempt::Attempt;
use super::settle::MAX_PAUSE;

/// A delivery is unknown to a server that leaves this many acknowledgements of it without an answer, and
/// answers other questions.
const UNANSWERED: u32 = 2;

impl Attempt {
    /// Settles the message. A server that was killed may have forgotten that it delivered it, and such a
    /// server does not answer: then it delivers the message again, and whoever gets it finds the work done.
    pub(super) async fn until_settled<F>(&self, what: &str, mut settle: impl FnMut() -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let unanswered = AtomicU32::new(0);
        self.until_done(what, || {
            let (settled, unanswered) = (settle(), &unanswered);
            async move {
                let Err(error) = settled.await else { return Ok(()) };
                if !self.answers().await || unanswered.fetch_add(1, Ordering::Relaxed) + 1 < UNANSWERED {
                    return Err(error);
                }
                tracing::warn!("NATS does not know this delivery any more; it delivers the job again");
                Ok(())
            }
        })
        .await
    }

    /// Whether the server answers other questions.
    async fn answers(&self) -> bool {
        let state = self.shared.env.queue.pool_state(self.shared.step, self.delivery.pool());
        matches!(tokio::time::timeout(MAX_PAUSE, state).await, Ok(Ok(_)))
    }
}
