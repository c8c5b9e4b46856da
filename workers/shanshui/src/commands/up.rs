//! `shanshui up`: everything in one process tree, on embedded defaults.
//!
//! It leaves nothing behind: nats-server cannot outlive this process (see `embedded/nats_server.rs`), the
//! object store is part of it, and the file of addresses is removed. After a `kill -9` that file
//! stays, points at closed ports, and is written anew by the next `up`.

mod addresses;
mod inbox;
mod seat;
mod services;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shanshui_gateway::{GatewayOptions, Parts};
use shanshui_pipeline::Step;
use shanshui_pipeline::config::{Secret, StreamSettings, TelemetryOptions, WorkerOptions};
use shanshui_pipeline::health::Part;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::store::Store;
use shanshui_pipeline::worker::Env;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::addresses::Addresses;
pub(crate) use self::seat::Seat;
use self::services::Services;
use crate::commands::gateway;
use crate::commands::reconcile::{ReconcileSettings, Reconciler};
use crate::data::DataDir;
use crate::embedded::credentials::Credentials;
use crate::embedded::nats_program;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::locate::ModelFolders;
use crate::service::Service;

/// Run everything on this machine: queue, object store, a worker of every stage, and the page
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Port of NATS on 127.0.0.1; 0 takes a free one
    #[arg(long, env = "SHANSHUI_NATS_PORT", default_value_t = 0)]
    nats_port: u16,
    /// Port of the object store on 127.0.0.1; 0 takes a free one
    #[arg(long, env = "SHANSHUI_S3_PORT", default_value_t = 0)]
    s3_port: u16,
    /// The nats-server to start, 2.12.7 or newer: a path, or a name on PATH
    #[arg(long, env = "SHANSHUI_NATS_SERVER", value_name = "PROGRAM", default_value = "nats-server")]
    nats_server: PathBuf,
    /// Take recordings that are dropped below this prefix of the bucket, as inbox/, and bring words and
    /// pictures back beside them; the folder of the bucket will do
    #[arg(long, env = "SHANSHUI_INBOX", value_name = "PREFIX")]
    inbox: Option<String>,
    #[command(flatten)]
    folders: ModelFolders,
    #[command(flatten)]
    worker: WorkerOptions,
    #[command(flatten)]
    streams: StreamSettings,
    #[command(flatten)]
    reconcile: ReconcileSettings,
    #[command(flatten)]
    gateway: GatewayOptions,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// What the parts of `up` share.
struct Up<'a> {
    args: &'a UpArgs,
    steps: &'static [Step],
    data: &'a DataDir,
    addresses: Addresses,
    keys: Credentials,
}

/// Runs a worker on each of these seats until SIGTERM or Ctrl-C, or until the queue fails.
pub(crate) async fn run(
    args: UpArgs,
    steps: &'static [Step],
    seats: Vec<Seat>,
    data: DataDir,
) -> Result<Exit, Refusal> {
    args.check()?;
    let _lock = data.lock()?;
    nats_program::check(&args.nats_server).await.or_exit(Exit::Usage)?;
    let seats: Result<Vec<_>, _> = seats.into_iter().map(|seat| seat.find_model(&args.folders, &data)).collect();
    let seats = seats.or_exit(Exit::Usage)?;
    let drain = Duration::from_secs(args.worker.drain_seconds);
    let mut service = Service::start(&args.telemetry, &[Part::Nats, Part::Store], drain).await?;
    let listener = args.listen().await.or_exit(Exit::Usage)?;
    let mut services = Services::start(&args, &data).await?;
    let drain = service.shutdown.drain.clone();
    let (addresses, keys) = (services.addresses(listener.local_addr()?), services.keys.clone());
    let up = Up { args: &args, steps, data: &data, addresses, keys };
    let ended = tokio::select! {
        ended = up.serve(&mut service, listener, seats) => ended,
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
        self.gateway.check().or_exit(Exit::Usage)?;
        inbox::settings(self.inbox.as_deref()).or_exit(Exit::Usage)?;
        let page = self.gateway.gateway.map_or(0, |address| address.port());
        let http = self.telemetry.http.map_or(0, |address| address.port());
        let ports = [("nats-port", self.nats_port), ("s3-port", self.s3_port), ("http", http), ("gateway", page)];
        for (at, (name, port)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports[..at].iter().find(|(_, taken)| *port != 0 && taken == port) {
                return Err(Refusal::setting(name, port, format_args!("another port than {other} has")));
            }
        }
        Ok(())
    }

    /// The usual address, else a free port beside it: where nobody asked for one, another program may
    /// have it.
    async fn listen(&self) -> anyhow::Result<TcpListener> {
        let usual = GatewayOptions::ADDRESS;
        match self.gateway.gateway {
            Some(address) => gateway::bind(address).await,
            None => match gateway::bind(usual).await {
                Ok(listener) => Ok(listener),
                Err(_) => gateway::bind(SocketAddr::new(usual.ip(), 0)).await,
            },
        }
    }
}

impl Up<'_> {
    /// Makes what is missing, loads the models, and works until the drain is over.
    async fn serve(&self, service: &mut Service, door: TcpListener, mut seats: Vec<Seat>) -> anyhow::Result<()> {
        let shutdown = service.shutdown.clone();
        let env = tokio::select! {
            prepared = self.prepare(service, &mut seats) => prepared?,
            () = shutdown.drain.cancelled() => return Ok(()),
        };
        self.addresses.write(self.data, &self.keys)?;
        self.addresses.announce(self.data, (service.address, self.args.inbox.as_deref()));
        let reconciler = self.reconciler(&env);
        let (mut workers, drained) = (JoinSet::new(), CancellationToken::new());
        let until = drained.clone();
        let reconciling = async move { reconciler.serve(until).await };
        let serving = shanshui_gateway::serve(door, self.gateway(&env), drained.clone());
        let taking = inbox::serve(self.args.inbox.as_deref(), env.clone(), drained.clone());
        for seat in seats {
            workers.spawn(seat.keep(env.clone(), shutdown.clone()));
        }
        let working = async {
            while let Some(ended) = workers.join_next().await {
                ended??;
            }
            drained.cancel();
            anyhow::Ok(())
        };
        tokio::try_join!(working, reconciling, serving, taking).map(drop)
    }

    fn gateway(&self, env: &Env) -> Parts {
        let Env { queue, store, metrics, .. } = env.clone();
        let mut options = self.args.gateway.clone();
        // The key of the store is as secret, and stays the same.
        options.gateway_secret.get_or_insert_with(|| Secret::from(self.keys.secret_key.clone()));
        Parts { queue, store, metrics, options, words: gateway::vocabulary() }
    }

    fn reconciler(&self, env: &Env) -> Reconciler {
        let Env { queue, store, health, metrics, options } = env.clone();
        Reconciler { queue, store, health, metrics, settings: self.args.reconcile.clone(), attempts: options.attempts }
    }

    async fn prepare(&self, service: &mut Service, seats: &mut [Seat]) -> anyhow::Result<Env> {
        let queue = Queue::connect(&self.addresses.nats_options()?, "shanshui-up", self.steps).await?;
        queue.wait_connected().await;
        for said in queue.apply(&self.args.streams, false).await? {
            tracing::info!("{said}");
        }
        let options = self.addresses.s3_options(&self.keys)?;
        Store::open(&options).await?.make_bucket().await?;
        let store = Store::connect(&options).await?;
        service.follow_store(&store);
        let (health, metrics) = (service.health.process(), Arc::clone(&service.metrics));
        health.up(Part::Nats);
        let env = Env { queue, store, health, metrics, options: self.args.worker.clone() };
        // One after the other: all read from the same disk and use all cores.
        for seat in seats {
            seat.load(&env).await?;
        }
        Ok(env)
    }
}
