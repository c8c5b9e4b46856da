//! Waiting for what comes without a signal of its own.

use std::time::{Duration, Instant};

/// Longest wait for anything: two slow cores, both busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks again and again until there is an answer.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: nothing within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
