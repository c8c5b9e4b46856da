//! What a pull brings, and what it brings too late.

use std::sync::Arc;

use anyhow::Context as _;

use super::Shared;
use super::attempt::Attempt;
use super::poll::{PAUSE, Tasks, Worker};
use super::slot::Slot;
use crate::causes::causes;
use crate::delivery::Delivery;
use crate::health::Part;
use crate::queue::late::Late;
use crate::queue::pull::Puller;
use crate::stage::Stage;

impl<S: Stage> Worker<S> {
    /// Takes back what stands at the consumers; what is on its way is handed back.
    pub(super) async fn take_back(&self, puller: &mut Puller, tasks: &mut Tasks) {
        self.return_late(puller.withdraw().await, tasks);
    }

    /// Does so if the job that has just begun took the last room.
    pub(super) async fn take_back_if_full(&self, puller: &mut Puller, tasks: &mut Tasks) {
        self.return_late(puller.trim().await, tasks);
    }

    fn return_late(&self, late: Option<Late>, tasks: &mut Tasks) {
        if let Some(late) = late {
            tasks.returning.spawn(hand_back(Arc::clone(&self.shared), late));
        }
    }

    /// One job, or none after a while; a busy worker takes none that an idle one waits for.
    pub(super) async fn pull(
        self: &Arc<Self>,
        (puller, free): (&mut Puller, usize),
        tasks: &mut Tasks,
        busy: bool,
    ) -> anyhow::Result<Option<Delivery>> {
        let shutdown = &self.shared.shutdown;
        if shutdown.drain.is_cancelled() {
            return Ok(None);
        }
        let pulled = if busy { puller.now().await } else { puller.one(free, &self.halt).await };
        let pulled = match pulled {
            Ok(pulled) => pulled,
            Err(error) => return self.pull_failed(error).await.map(|()| None),
        };
        self.return_late(pulled.late, tasks);
        pulled.job.map(Delivery::new).transpose()
    }

    /// An outage is waited out; a consumer that is gone ends the worker.
    async fn pull_failed(&self, error: anyhow::Error) -> anyhow::Result<()> {
        let Shared { env, shutdown, .. } = &*self.shared;
        tracing::warn!(error = causes(&error), "cannot ask for a job; trying again");
        env.health.down(Part::Queue, causes(&error));
        let pools = env.options.pool_names();
        tokio::select! {
            usable = env.queue.wait_usable(S::NAME, &pools) => usable.context("the worker ends: its stream or consumer cannot be used")?,
            () = shutdown.drain.cancelled() => return Ok(()),
        }
        env.health.up(Part::Queue);
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Hands back what came too late to be worked on here.
async fn hand_back(shared: Arc<Shared>, mut late: Late) -> anyhow::Result<()> {
    while let Some(message) = late.next().await {
        Attempt::begin(Arc::clone(&shared), Delivery::new(message)?, Slot::default()).await.hand_back().await?;
    }
    Ok(())
}
