//! `shanshui up`: everything in one process tree, on embedded defaults.
//!
//! It leaves nothing behind: nats-server cannot outlive this process (see [`NatsServer`]), the
//! object store is part of it, and the file of addresses is removed. After a `kill -9` that file
//! stays, points at closed ports, and is written anew by the next `up`.

mod addresses;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shanshui_common::config::{TelemetryOptions, WorkerOptions};
use shanshui_common::queue::Queue;
use shanshui_common::queue::streams::StreamSettings;
use shanshui_common::store::Store;
use shanshui_common::worker::{self, Deps};
use shanshui_paint::options::PaintOptions;
use shanshui_paint::stage::Paint;
use shanshui_transcribe::options::TranscribeOptions;
use shanshui_transcribe::stage::Transcribe;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::addresses::Addresses;
use crate::commands::reconcile::{ReconcileSettings, Reconciler};
use crate::data::DataDir;
use crate::embedded::credentials::Credentials;
use crate::embedded::nats_program;
use crate::embedded::nats_server::NatsServer;
use crate::embedded::s3_server::S3Server;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::locate::ModelFolders;
use crate::models::manifest::Kind;
use crate::service::Service;

/// Run everything on this machine: queue, object store and both workers
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Port of NATS on 127.0.0.1; 0 takes a free one
    #[arg(long, env = "SHANSHUI_NATS_PORT", default_value_t = 0)]
    nats_port: u16,
    /// Port of the object store on 127.0.0.1; 0 takes a free one
    #[arg(long, env = "SHANSHUI_S3_PORT", default_value_t = 0)]
    s3_port: u16,
    /// The nats-server to start, 2.10 or newer: a path, or a name on PATH
    #[arg(long, env = "SHANSHUI_NATS_SERVER", value_name = "PROGRAM", default_value = "nats-server")]
    nats_server: PathBuf,
    #[command(flatten)]
    transcribe: TranscribeOptions,
    #[command(flatten)]
    paint: PaintOptions,
    #[command(flatten)]
    folders: ModelFolders,
    #[command(flatten)]
    worker: WorkerOptions,
    #[command(flatten)]
    streams: StreamSettings,
    #[command(flatten)]
    reconcile: ReconcileSettings,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// The embedded services.
struct Services {
    nats: NatsServer,
    s3: S3Server,
    keys: Credentials,
}

/// Folders of the models.
struct Models {
    whisper: PathBuf,
    picture: PathBuf,
}

/// What the parts of `up` share.
struct Up<'a> {
    args: &'a UpArgs,
    data: &'a DataDir,
    models: Models,
    addresses: Addresses,
    keys: Credentials,
}

/// Runs until SIGTERM or Ctrl-C, or until a part fails.
pub(crate) async fn run(args: UpArgs, data: DataDir) -> Result<Exit, Refusal> {
    args.check()?;
    let _lock = data.lock()?;
    nats_program::check(&args.nats_server).await.or_exit(Exit::Usage)?;
    let models = args.find_models(&data)?;
    let drain = Duration::from_secs(args.worker.drain_seconds);
    let parts = ["nats", "store", "transcribe", "paint"];
    let mut service = Service::start(&args.telemetry, &parts, drain).await?;
    let mut services = Services::start(&args, &data).await?;
    let drain = service.shutdown.drain.clone();
    let (addresses, keys) = (services.addresses(), services.keys.clone());
    let up = Up { args: &args, data: &data, models, addresses, keys };
    let ended = tokio::select! {
        ended = up.serve(&mut service) => ended,
        // Without the queue there is nothing to drain.
        error = services.nats.gone() => Err(error),
    };
    // A part that failed while we were asked to end is no failure.
    let ended = if drain.is_cancelled() { Ok(()) } else { ended };
    let _ = std::fs::remove_file(data.addresses());
    services.nats.stop().await?;
    ended.map(|()| Exit::Done).map_err(Refusal::from)
}

impl UpArgs {
    fn check(&self) -> Result<(), Refusal> {
        self.worker.check().or_exit(Exit::Usage)?;
        let http = self.telemetry.http.map_or(0, |address| address.port());
        let ports = [("nats-port", self.nats_port), ("s3-port", self.s3_port), ("http", http)];
        for (at, (name, port)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports[..at].iter().find(|(_, taken)| *port != 0 && taken == port) {
                return Err(Refusal::setting(name, port, format_args!("another port than {other} has")));
            }
        }
        Ok(())
    }

    fn find_models(&self, data: &DataDir) -> Result<Models, Refusal> {
        let whisper = self.folders.locate(&self.transcribe.whisper, Kind::Whisper, data).or_exit(Exit::Usage)?;
        let picture = self.folders.locate(&self.paint.picture_model, Kind::Picture, data).or_exit(Exit::Usage)?;
        Ok(Models { whisper, picture })
    }
}

impl Services {
    async fn start(args: &UpArgs, data: &DataDir) -> anyhow::Result<Self> {
        let keys = Credentials::at(&data.root().join("credentials.toml"))?;
        let nats = NatsServer::start(&args.nats_server, &data.folder("nats")?, args.nats_port).await?;
        match S3Server::start(&data.folder("s3")?, args.s3_port, &keys).await {
            Ok(s3) => Ok(Self { nats, s3, keys }),
            Err(error) => {
                nats.stop().await?;
                Err(error)
            }
        }
    }

    fn addresses(&self) -> Addresses {
        Addresses { nats: self.nats.url().to_owned(), s3: self.s3.url() }
    }
}

impl Up<'_> {
    /// Makes what is missing, loads the models, and works until the drain is over.
    async fn serve(&self, service: &mut Service) -> anyhow::Result<()> {
        let shutdown = service.shutdown.clone();
        let prepared = tokio::select! {
            prepared = self.prepare(service) => prepared?,
            () = shutdown.drain.cancelled() => return Ok(()),
        };
        let (deps, transcribe, paint) = prepared;
        self.addresses.write(self.data, &self.keys)?;
        self.addresses.announce(self.data, service.address);
        let reconciler = self.reconciler(&deps);
        let (mut workers, drained) = (JoinSet::new(), CancellationToken::new());
        let until = drained.clone();
        let reconciling = async move { reconciler.serve(until).await };
        workers.spawn(worker::run(transcribe, deps.clone(), shutdown.clone()));
        workers.spawn(worker::run(paint, deps, shutdown));
        let working = async {
            while let Some(ended) = workers.join_next().await {
                ended??;
            }
            drained.cancel();
            anyhow::Ok(())
        };
        tokio::try_join!(working, reconciling).map(drop)
    }

    fn reconciler(&self, deps: &Deps) -> Reconciler {
        let Deps { queue, store, health, metrics, options } = deps.clone();
        Reconciler { queue, store, health, metrics, settings: self.args.reconcile.clone(), attempts: options.attempts }
    }

    async fn prepare(&self, service: &mut Service) -> anyhow::Result<(Deps, Transcribe, Paint)> {
        let queue = Queue::connect(&self.addresses.nats_options()?, "shanshui-up").await?;
        queue.wait_connected().await;
        for said in queue.apply(&self.args.streams).await? {
            tracing::info!("{said}");
        }
        let options = self.addresses.s3_options(&self.keys)?;
        Store::open(&options).await?.make_bucket().await?;
        let store = Store::connect(&options).await?;
        service.follow_store(&store);
        // One after the other: both read from the same disk and use all cores.
        let transcribe = Transcribe::load(&self.args.transcribe, &self.models.whisper, &service.metrics).await?;
        service.health.up("transcribe");
        let paint = Paint::load(&self.args.paint, &self.models.picture, &service.metrics).await?;
        service.health.up("paint");
        let (health, metrics) = (Arc::clone(&service.health), Arc::clone(&service.metrics));
        Ok((Deps { queue, store, health, metrics, options: self.args.worker.clone() }, transcribe, paint))
    }
}
