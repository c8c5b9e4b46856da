//! Answers that their client does not take. Over HTTP/2 a client stops an answer without stopping its
//! connection: it grants the answer no more room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The answers of one connection.
#[derive(Default)]
pub(super) struct Owed {
    asked: AtomicU64,
    /// Since when an answer has been given a piece and asked for no other.
    since: Mutex<HashMap<u64, Instant>>,
}

/// One answer; it is forgotten when this is dropped.
pub(super) struct Answer {
    owed: Arc<Owed>,
    number: u64,
}

impl Owed {
    /// A request has come.
    pub(super) fn ask(self: &Arc<Self>) -> Answer {
        Answer { owed: Arc::clone(self), number: self.asked.fetch_add(1, Ordering::Relaxed) }
    }

    /// Ends when no request has come for so long after the connection.
    pub(super) async fn silent(&self, patience: Duration) {
        tokio::time::sleep(patience).await;
        if self.asked.load(Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
    }

    /// Ends when the client has taken nothing of an answer for so long.
    pub(super) async fn stalled(&self, patience: Duration) {
        loop {
            tokio::time::sleep(patience / 4).await;
            if self.since().values().any(|since| since.elapsed() > patience) {
                return;
            }
        }
    }

    fn since(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// A piece is on its way.
    pub(super) fn give(&self) {
        self.owed.since().insert(self.number, Instant::now());
    }

    /// The piece is taken: the next one is asked for.
    pub(super) fn taken(&self) {
        self.owed.since().remove(&self.number);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.taken();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    async fn ends(waiting: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(3 * PATIENCE, waiting).await.is_ok()
    }

    #[tokio::test]
    async fn s20_an_answer_that_is_not_taken_ends_its_connection_and_one_that_waits_for_news_does_not() {
        let owed = Arc::new(Owed::default());
        assert!(ends(owed.silent(PATIENCE)).await);
        let (quick, slow) = (owed.ask(), owed.ask());
        assert!(!ends(owed.silent(PATIENCE)).await);
        quick.give();
        quick.taken();
        assert!(!ends(owed.stalled(PATIENCE)).await);
        slow.give();
        assert!(ends(owed.stalled(PATIENCE)).await);
        drop(slow);
        assert!(!ends(owed.stalled(PATIENCE)).await);
    }
}
