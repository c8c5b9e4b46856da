//! What a stage may use while it works on one job.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::events::Events;
use crate::failure::Failure;
use crate::job::JobId;
use crate::lease::Progress;
use crate::store::Store;

/// One attempt at one job.
#[derive(Debug, Clone)]
pub struct Context {
    /// The job.
    pub job: JobId,
    /// Which attempt this is; counts from 1.
    pub attempt: u64,
    /// Cancelled when the work is to stop, whatever the reason.
    pub stop: CancellationToken,
    /// Holds the lease: report every unit of work done.
    pub progress: Arc<Progress>,
    /// Tells the world.
    pub events: Events,
    /// Pictures, transcripts, receipts.
    pub store: Store,
}

impl Context {
    /// Publishes an event of this job and waits until the stream has it.
    pub async fn tell(&self, event: Event) -> Result<(), Failure> {
        self.events.publish(&self.job, &event).await
    }
}
