//! Drives one stage: a permit, one pull of one message, its life, and the drain.

mod admit;
mod announce;
mod attempt;
mod bounds;
mod breaker;
mod cancel;
mod last_word;
mod poll;
mod settle;
mod settled;
mod slot;
mod take;
mod watch;
mod work;

use std::sync::Arc;
use std::time::Duration;

use crate::config::WorkerOptions;
use crate::health::Scope;
use crate::queue::Queue;
use crate::shutdown::Shutdown;
use crate::stage::Stage;
use crate::step::Step;
use crate::store::Store;
use crate::telemetry::Metrics;
use cancel::Cancels;
use poll::Worker;
use tokio::runtime::Handle;

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct Env {
    /// The queue.
    pub queue: Queue,
    /// The bucket.
    pub store: Store,
    /// What readiness reports of this worker.
    pub health: Scope,
    /// What `/metrics` reports.
    pub metrics: Arc<Metrics>,
    /// How jobs are treated.
    pub options: WorkerOptions,
}

/// What all attempts of one worker share.
pub(crate) struct Shared {
    env: Env,
    step: &'static Step,
    /// Name of the worker.
    name: String,
    /// Name of its model.
    model: String,
    shutdown: Shutdown,
    /// Name of its stream.
    stream: String,
    /// When the stream was made, in Unix nanoseconds.
    created: i128,
    ack_wait: Duration,
    cancels: Cancels,
    /// Where stages run.
    stages: Handle,
    /// The store, for what the worker itself writes of ends: over connections of the worker's thread.
    ends: Store,
}

/// Works until the drain: takes jobs, finishes or hands back what runs.
///
/// # Errors
/// A stream or consumer that is missing or wrong, a model that is gone, work that hangs: the
/// worker should be started anew.
pub async fn run<S: Stage>(stage: S, env: Env, shutdown: Shutdown) -> anyhow::Result<()> {
    let drain = shutdown.drain.clone();
    beside_link(env, |env, stages| async move {
        let worker = tokio::select! {
            started = Worker::start((stage, stages), env, shutdown) => started?,
            () = drain.cancelled() => return Ok(()),
        };
        worker.serve(false).await.map(drop)
    })
    .await
}

/// Works until nothing is pending; returns the number of deliveries. For tests.
#[doc(hidden)]
pub async fn run_until_empty<S: Stage>(stage: S, env: Env, shutdown: Shutdown) -> anyhow::Result<usize> {
    beside_link(env, |env, stages| async move {
        let worker = Worker::start((stage, stages), env, shutdown).await?;
        worker.serve(true).await
    })
    .await
}

/// All that a worker does for a job waits for NATS, so it is done on the thread of the connection: elsewhere each
/// answer would wake another thread, which is half of the time of a job without work. Stages run where the caller
/// is, which the second argument of `work` stands for.
async fn beside_link<T: Send + 'static, F>(env: Env, work: impl FnOnce(Env, Handle) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let link = env.queue.link.clone();
    link.run(work(env, Handle::current())).await
}

impl Shared {
    fn stage(&self) -> &'static str {
        self.step.stage
    }

    /// The step that follows this worker's.
    fn next_step(&self) -> Option<&'static Step> {
        let mut steps = self.env.queue.steps().iter();
        steps.find(|step| step.stage == self.step.stage)?;
        steps.next()
    }
}
