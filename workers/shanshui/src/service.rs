//! What every serving process has: logs, probes, metrics and a way to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shanshui_pipeline::causes;
use shanshui_pipeline::config::{S3Options, TelemetryOptions};
use shanshui_pipeline::health::{Health, Part};
use shanshui_pipeline::http::{self, Pages};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::store::Store;
use shanshui_pipeline::telemetry::{self, Metrics};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, OrExit, Refusal};

/// How often readiness asks the store.
const LOOK: Duration = Duration::from_secs(10);

/// The parts that are there before any job.
pub(crate) struct Service {
    /// What readiness reports.
    pub(crate) health: Arc<Health>,
    /// What `/metrics` reports.
    pub(crate) metrics: Arc<Metrics>,
    /// How the process is asked to end.
    pub(crate) shutdown: Shutdown,
    /// Where the pages are, if anywhere.
    pub(crate) address: Option<SocketAddr>,
    /// Ends with the service.
    tasks: JoinSet<()>,
}

impl Service {
    /// Starts logging, listening to signals, and the pages if they have an address.
    pub(crate) async fn start(options: &TelemetryOptions, parts: &[Part], drain: Duration) -> Result<Self, Refusal> {
        let health = Arc::new(Health::default());
        health.process().expect(parts);
        let metrics = Arc::new(Metrics::of(env!("CARGO_PKG_VERSION"), &health));
        telemetry::init(options, &metrics).or_exit(Exit::Usage)?;
        let shutdown = Shutdown::on_signals(drain)?;
        let mut service = Self { health, metrics, shutdown, address: None, tasks: JoinSet::new() };
        if let Some(address) = options.http {
            service.serve_pages(address).await.or_exit(Exit::Usage)?;
        }
        Ok(service)
    }

    /// Has readiness say what keeps the connection to NATS from coming up; once it is up, the worker
    /// itself follows it.
    pub(crate) fn await_link(&mut self, queue: &Queue) {
        let (mut state, health) = (queue.link_state(), self.health.process());
        self.tasks.spawn(async move {
            loop {
                let trouble = state.borrow_and_update().trouble();
                let Some(trouble) = trouble else { return };
                health.down(Part::Nats, trouble);
                if state.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Has readiness follow the connection for the life of the process.
    pub(crate) fn follow_link(&mut self, queue: &Queue) {
        let (mut state, health) = (queue.link_state(), self.health.process());
        self.tasks.spawn(async move {
            loop {
                match state.borrow_and_update().trouble() {
                    Some(trouble) => health.down(Part::Nats, trouble),
                    None => health.up(Part::Nats),
                }
                if state.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Waits for the store as long as it takes, says meanwhile why in readiness, and has it follow the
    /// store from then on.
    pub(crate) async fn await_store(&mut self, options: &S3Options) -> anyhow::Result<Store> {
        let health = self.health.process();
        let store = Store::await_store(options, |why| health.down(Part::Store, why)).await?;
        self.follow_store(&store);
        Ok(store)
    }

    /// Has readiness follow the store.
    pub(crate) fn follow_store(&mut self, store: &Store) {
        let (store, health) = (store.clone(), self.health.process());
        health.up(Part::Store);
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                match store.check().await {
                    Ok(()) => health.up(Part::Store),
                    Err(failure) => health.down(Part::Store, failure),
                }
            }
        });
    }

    async fn serve_pages(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let listener = http::bind(address).await?;
        self.address = Some(listener.local_addr()?);
        let pages = Pages { health: Arc::clone(&self.health), metrics: Arc::clone(&self.metrics) };
        // Probes are answered until the very end; dropping the task ends them.
        let served = http::serve(listener, pages, CancellationToken::new());
        self.tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!("{}", causes(&error));
            }
        });
        Ok(())
    }
}
