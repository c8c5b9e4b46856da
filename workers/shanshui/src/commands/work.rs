//! One worker of one stage.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shanshui_pipeline::config::{NatsOptions, S3Options, TelemetryOptions, WorkerOptions};
use shanshui_pipeline::health::Part;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::serve;
use shanshui_pipeline::store::is_model_name;
use shanshui_pipeline::worker::{self, Env};
use shanshui_pipeline::{Layout, Serve, Stage, Step, Store, causes};

use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::bucket;
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
    from_bucket: FromBucket,
    #[command(flatten)]
    worker: WorkerOptions,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    s3: S3Options,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// Where a model comes from that is not on this machine.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Models")]
pub(crate) struct FromBucket {
    /// Fetch the model from the bucket (models/NAME/, where `shanshui models push` puts it) if it is
    /// not in the model folders
    #[arg(long = "models-from-bucket", id = "models_from_bucket", env = "SHANSHUI_MODELS_FROM_BUCKET")]
    allowed: bool,
}

/// Where a worker's model is.
enum Place {
    Here(PathBuf),
    /// In the bucket, under this name.
    InBucket(String, Layout),
}

impl<S: Serve> WorkArgs<S> {
    fn place(&self, data: &DataDir) -> anyhow::Result<Place> {
        let missing = match self.folders.of_stage::<S>(&self.stage, data) {
            Ok(folder) => return Ok(Place::Here(folder)),
            Err(missing) => missing,
        };
        match S::LAYOUT {
            Some(layout) if self.from_bucket.allowed && is_model_name(S::wanted(&self.stage)) => {
                Ok(Place::InBucket(S::wanted(&self.stage).to_owned(), layout))
            }
            _ => Err(missing),
        }
    }

    /// The folder of the model, fetched if need be.
    async fn bring(&self, place: Place, data: &DataDir, store: &Store, service: &Service) -> anyhow::Result<PathBuf> {
        match place {
            Place::Here(folder) => Ok(folder),
            Place::InBucket(name, layout) => {
                tracing::info!(model = name, "the model is not on this machine: fetching it from the bucket");
                service.health.process().down(Part::Model, "it is being fetched from the bucket");
                let target = self.folders.target(data).join(&name);
                bucket::fetch(store, &name, &target).await?;
                (layout.find)(&target)
            }
        }
    }
}

impl<S: Serve> fmt::Debug for WorkArgs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkArgs").field("stage", &self.stage).field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn run<S: Serve>(args: WorkArgs<S>, steps: &'static [Step], data: DataDir) -> Result<Exit, Refusal> {
    args.worker.check().and_then(|()| args.s3.check()).or_exit(Exit::Usage)?;
    let place = args.place(&data).or_exit(Exit::Usage)?;
    let drain = Duration::from_secs(args.worker.drain_seconds);
    let mut service = Service::start(&args.telemetry, &[Part::Nats, Part::Store, Part::Model], drain).await?;
    let shutdown = service.shutdown.clone();
    let (stage, env) = tokio::select! {
        prepared = prepare::<S>(&args, (steps, place, &data), &mut service) => prepared?,
        // Nothing has begun: there is nothing to drain.
        () = shutdown.drain.cancelled() => return Ok(Exit::Done),
    };
    let ended = worker::run(stage, env, shutdown).await;
    ended.inspect_err(|error| service.health.die(causes(error)))?;
    Ok(Exit::Done)
}

async fn prepare<S: Serve>(
    args: &WorkArgs<S>,
    (steps, place, data): (&'static [Step], Place, &DataDir),
    service: &mut Service,
) -> anyhow::Result<(S, Env)> {
    let queue = Queue::connect(&args.nats, &format!("shanshui-{}", S::NAME), steps).await?;
    service.await_link(&queue);
    queue.wait_connected().await;
    queue.wait_usable(<S as Stage>::NAME, &args.worker.pool_names()).await?;
    let store = service.await_store(&args.s3).await?;
    let folder = args.bring(place, data, &store, service).await?;
    let stage = serve::load::<S>(&args.stage, &folder, &service.metrics).await?;
    let health = service.health.process();
    health.up(Part::Model);
    let metrics = Arc::clone(&service.metrics);
    Ok((stage, Env { queue, store, health, metrics, options: args.worker.clone() }))
}
