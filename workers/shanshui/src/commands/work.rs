//! One worker of one stage.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shanshui_pipeline::config::{NatsOptions, S3Options, TelemetryOptions, WorkerOptions};
use shanshui_pipeline::health::Part;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::worker::{self, Env};
use shanshui_pipeline::{Serve, Stage, Step, causes};

use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::locate::ModelFolders;
use crate::service::Service;

/// What every worker is told.
#[derive(Args)]
pub(crate) struct WorkArgs<S: Serve> {
    #[command(flatten)]
    stage: S::Options,
    #[command(flatten)]
    folders: ModelFolders,
    #[command(flatten)]
    worker: WorkerOptions,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    s3: S3Options,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

impl<S: Serve> fmt::Debug for WorkArgs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkArgs").field("stage", &self.stage).field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn run<S: Serve>(args: WorkArgs<S>, steps: &'static [Step], data: DataDir) -> Result<Exit, Refusal> {
    args.worker.check().and_then(|()| args.s3.check()).or_exit(Exit::Usage)?;
    let folder = args.folders.of_stage::<S>(&args.stage, &data).or_exit(Exit::Usage)?;
    let drain = Duration::from_secs(args.worker.drain_seconds);
    let mut service = Service::start(&args.telemetry, &[Part::Nats, Part::Store, Part::Model], drain).await?;
    let shutdown = service.shutdown.clone();
    let (stage, env) = tokio::select! {
        prepared = prepare::<S>(&args, (steps, folder), &mut service) => prepared?,
        // Nothing has begun: there is nothing to drain.
        () = shutdown.drain.cancelled() => return Ok(Exit::Done),
    };
    let ended = worker::run(stage, env, shutdown).await;
    ended.inspect_err(|error| service.health.die(causes(error)))?;
    Ok(Exit::Done)
}

async fn prepare<S: Serve>(
    args: &WorkArgs<S>,
    (steps, folder): (&'static [Step], PathBuf),
    service: &mut Service,
) -> anyhow::Result<(S, Env)> {
    let queue = Queue::connect(&args.nats, &format!("shanshui-{}", S::NAME), steps).await?;
    service.await_link(&queue);
    queue.wait_connected().await;
    queue.wait_usable(<S as Stage>::NAME, &args.worker.pool_names()).await?;
    let store = service.await_store(&args.s3).await?;
    let stage = S::load(&args.stage, &folder, &service.metrics).await?;
    let health = service.health.process();
    health.up(Part::Model);
    let metrics = Arc::clone(&service.metrics);
    Ok((stage, Env { queue, store, health, metrics, options: args.worker.clone() }))
}
