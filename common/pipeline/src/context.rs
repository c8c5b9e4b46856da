//! What a stage may use while it works on one job.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::events::Events;
use crate::failure::Failure;
use crate::job::JobId;
use crate::lease::Progress;
use crate::store::Store;
use crate::telemetry::{Metrics, Yield};

/// One attempt at one job.
#[derive(Debug, Clone)]
pub struct Context {
    /// The job.
    pub job: JobId,
    /// Which attempt this is; counts from 1.
    pub attempt: u64,
    /// Nobody has worked on the job at this stage before, so there is nothing to look for.
    pub fresh: bool,
    /// The job is complete after this stage.
    pub last: bool,
    /// Cancelled when the work is to stop, whatever the reason.
    pub stop: CancellationToken,
    /// Holds the lease: report every unit of work done, or the work counts as hung.
    pub progress: Arc<Progress>,
    /// Pictures, transcripts, records.
    pub store: Store,
    pub(crate) events: Events,
    pub(crate) stage: &'static str,
    pub(crate) metrics: Arc<Metrics>,
}

impl Context {
    /// Publishes an event of this job and waits until the stream has it. A final event is not a
    /// stage's to tell: it is refused.
    pub async fn tell(&self, event: Event) -> Result<(), Failure> {
        if event.is_final() {
            return Err(Failure::Reject(anyhow::anyhow!("a stage may not tell the event {}", event.kind())));
        }
        self.events.publish(&self.job, &event).await
    }

    /// Counts what the stage made, for `/metrics`.
    pub fn made(&self, what: Yield, amount: f64) {
        self.metrics.made(self.stage, what, amount);
    }

    /// Publishes an event that may be lost, as a preview may.
    pub async fn mention(&self, event: Event) {
        if !event.is_final() {
            self.events.mention(&self.job, &event).await;
        }
    }

    /// Publishes such events as they come while the work goes on. Those that are still waiting when it
    /// is over are dropped: the work waits for none of them.
    pub async fn mention_during<T>(&self, work: impl Future<Output = T>, mut events: Receiver<Event>) -> T {
        let tell = async {
            while let Some(event) = events.recv().await {
                self.mention(event).await;
            }
            pending().await
        };
        tokio::select! {
            biased;
            made = work => made,
            never = tell => never,
        }
    }
}
