//! Jobs that their sender takes back while they run here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::job::JobId;
use crate::queue::{Queue, is_cancel};

type Running = Arc<Mutex<HashMap<String, CancellationToken>>>;

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
        let mut messages = queue.client.subscribe(queue.names().cancel("*")).await?;
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            while let Some(message) = messages.next().await {
                if !is_cancel(message.headers.as_ref(), &message.payload) {
                    continue;
                }
                let job = message.subject.rsplit('.').next().unwrap_or_default();
                if let Some(token) = known.lock().unwrap_or_else(PoisonError::into_inner).get(job) {
                    token.cancel();
                }
            }
        });
        Ok(Self { running, _listener: listener })
    }

    pub(super) fn watch(&self, job: &JobId) -> Watch<'_> {
        let token = CancellationToken::new();
        let job = job.to_string();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone(), token.clone());
        Watch { running: &self.running, job, token }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}
