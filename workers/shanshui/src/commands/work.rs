//! `shanshui transcribe` and `shanshui paint`: one worker each.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shanshui_common::config::{NatsOptions, S3Options, TelemetryOptions, WorkerOptions};
use shanshui_common::queue::Queue;
use shanshui_common::stage::Stage;
use shanshui_common::store::Store;
use shanshui_common::worker::{self, Deps};
use shanshui_paint::options::PaintOptions;
use shanshui_paint::stage::Paint;
use shanshui_transcribe::options::TranscribeOptions;
use shanshui_transcribe::stage::Transcribe;

use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::locate::ModelFolders;
use crate::models::manifest::Kind;
use crate::service::Service;

/// Run one worker that turns speech into text
#[derive(Debug, Clone, Args)]
pub(crate) struct TranscribeArgs {
    #[command(flatten)]
    model: TranscribeOptions,
    #[command(flatten)]
    work: WorkArgs,
}

/// Run one worker that turns text into pictures
#[derive(Debug, Clone, Args)]
pub(crate) struct PaintArgs {
    #[command(flatten)]
    model: PaintOptions,
    #[command(flatten)]
    work: WorkArgs,
}

#[derive(Debug, Clone, Args)]
struct WorkArgs {
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

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn transcribe(args: TranscribeArgs, data: DataDir) -> Result<Exit, Refusal> {
    args.work.check()?;
    let folder = args.work.folders.locate(&args.model.whisper, Kind::Whisper, &data).or_exit(Exit::Usage)?;
    let service = args.work.service().await?;
    let metrics = Arc::clone(&service.metrics);
    let load = Transcribe::load(&args.model, &folder, &metrics);
    run(args.work, service, load).await
}

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn paint(args: PaintArgs, data: DataDir) -> Result<Exit, Refusal> {
    args.work.check()?;
    let folder = args.work.folders.locate(&args.model.picture_model, Kind::Picture, &data).or_exit(Exit::Usage)?;
    let service = args.work.service().await?;
    let metrics = Arc::clone(&service.metrics);
    let load = Paint::load(&args.model, &folder, &metrics);
    run(args.work, service, load).await
}

impl WorkArgs {
    fn check(&self) -> Result<(), Refusal> {
        self.worker.check().and_then(|()| self.s3.check()).or_exit(Exit::Usage)
    }

    async fn service(&self) -> Result<Service, Refusal> {
        let drain = Duration::from_secs(self.worker.drain_seconds);
        Service::start(&self.telemetry, &["nats", "store", "model"], drain).await
    }
}

async fn run<S: Stage>(
    args: WorkArgs,
    mut service: Service,
    load: impl Future<Output = anyhow::Result<S>>,
) -> Result<Exit, Refusal> {
    let shutdown = service.shutdown.clone();
    let prepared = tokio::select! {
        prepared = prepare(&args, &mut service, load) => prepared?,
        // Nothing has begun: there is nothing to drain.
        () = shutdown.drain.cancelled() => return Ok(Exit::Done),
    };
    let (stage, deps) = prepared;
    worker::run(stage, deps, shutdown).await?;
    Ok(Exit::Done)
}

async fn prepare<S: Stage>(
    args: &WorkArgs,
    service: &mut Service,
    load: impl Future<Output = anyhow::Result<S>>,
) -> anyhow::Result<(S, Deps)> {
    let queue = Queue::connect(&args.nats, &format!("shanshui-{}", S::NAME)).await?;
    service.await_link(&queue);
    queue.wait_connected().await;
    queue.wait_usable(S::NAME).await?;
    let store = Store::connect(&args.s3).await?;
    service.follow_store(&store);
    let stage = load.await?;
    service.health.up("model");
    let (health, metrics) = (Arc::clone(&service.health), Arc::clone(&service.metrics));
    Ok((stage, Deps { queue, store, health, metrics, options: args.worker.clone() }))
}
