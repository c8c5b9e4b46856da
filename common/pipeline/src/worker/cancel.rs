//! Jobs that their sender takes back while they run here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, stream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::job::JobId;
use crate::queue::{Queue, is_cancel};

type Running = Arc<Mutex<HashMap<String, One>>>;

/// One running job.
struct One {
    lane: String,
    token: CancellationToken,
}

/// Listens for cancels; ends when dropped.
pub(super) struct Cancels {
    running: Running,
    _listener: JoinSet<()>,
}

/// A job that runs here; forgotten when dropped.
pub(super) struct Watch<'a> {
    running: &'a Running,
    job: String,
    /// Cancelled when the sender takes the job back.
    pub(super) token: CancellationToken,
}

impl Cancels {
    pub(super) async fn listen(queue: &Queue) -> anyhow::Result<Self> {
        let running = Running::default();
        let known = Arc::clone(&running);
        let names = queue.names();
        let of_any_lane = queue.client.subscribe(names.cancel("*")).await?;
        let of_a_lane = queue.client.subscribe(names.cancel_in("*", "*")).await?;
        let mut messages = stream::select(of_any_lane, of_a_lane);
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            while let Some(message) = messages.next().await {
                if !is_cancel(message.headers.as_ref(), &message.payload) {
                    continue;
                }
                // prefix.cancel.JOB, or prefix.cancel.JOB.LANE
                let mut tokens = message.subject.split('.').skip(2);
                let (job, lane) = (tokens.next().unwrap_or_default(), tokens.next());
                let known = known.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(running) = known.get(job).filter(|running| lane.is_none_or(|lane| lane == running.lane)) {
                    running.token.cancel();
                }
            }
        });
        Ok(Self { running, _listener: listener })
    }

    pub(super) fn watch(&self, job: &JobId, lane: &str) -> Watch<'_> {
        let token = CancellationToken::new();
        let job = job.to_string();
        let one = One { lane: lane.to_owned(), token: token.clone() };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone(), one);
        Watch { running: &self.running, job, token }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}
