//! `shanshui reconcile`: sees to it that every accepted job ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use shanshui_common::config::{NatsOptions, S3Options, TelemetryOptions};
use shanshui_common::health::Health;
use shanshui_common::queue::Queue;
use shanshui_common::reconcile::{Audit, Mover, Suspects};
use shanshui_common::store::Store;
use shanshui_common::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, OrExit, Refusal};
use crate::service::Service;

/// After a failure, before the next try.
const PAUSE: Duration = Duration::from_secs(1);
/// Without a failure for this long, advisories are dealt with again.
const QUIET: Duration = Duration::from_secs(60);

/// End the jobs that JetStream gave up on, and audit again and again
///
/// A job that ran out of deliveries without a worker's word goes to DEAD and gets its final event;
/// one whose deliveries were used up by outages is queued again. One instance is enough, several
/// share the work. /metrics has the last audit as shanshui_audit_jobs.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    settings: ReconcileSettings,
    /// Attempts that a job has at each stage; as the workers have it
    #[arg(long, env = "SHANSHUI_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    attempts: u64,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    s3: S3Options,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// What `up` takes as well.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reconcile")]
pub(crate) struct ReconcileSettings {
    /// Seconds between two audits
    #[arg(long, env = "SHANSHUI_AUDIT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    audit_seconds: u64,
}

/// What reconciling works with.
pub(crate) struct Reconciler {
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: ReconcileSettings,
    pub(crate) attempts: u64,
}

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: ReconcileArgs) -> Result<Exit, Refusal> {
    args.s3.check().or_exit(Exit::Usage)?;
    let mut service = Service::start(&args.telemetry, &["nats", "store", "reconcile"], Duration::ZERO).await?;
    let stop = service.shutdown.drain.clone();
    let connected = tokio::select! {
        connected = connect(&args, &mut service) => connected?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    let (queue, store) = connected;
    service.follow_store(&store);
    let (health, metrics) = (Arc::clone(&service.health), Arc::clone(&service.metrics));
    let ReconcileArgs { settings, attempts, .. } = args;
    Reconciler { queue, store, health, metrics, settings, attempts }.serve(stop).await?;
    Ok(Exit::Done)
}

async fn connect(args: &ReconcileArgs, service: &mut Service) -> anyhow::Result<(Queue, Store)> {
    let queue = Queue::connect(&args.nats, "shanshui-reconcile").await?;
    service.await_link(&queue);
    queue.wait_connected().await;
    let store = Store::connect(&args.s3).await?;
    Ok((queue, store))
}

impl Reconciler {
    /// Moves and audits until `stop`.
    ///
    /// # Errors
    /// Only at the start, when the consumer is missing; later trouble is told by readiness.
    pub(crate) async fn serve(&self, stop: CancellationToken) -> anyhow::Result<()> {
        let mover = Mover::start(&self.queue, self.attempts).await?;
        let work = async {
            tokio::join!(self.go_on_moving(&mover), self.go_on_auditing(&mover));
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    async fn go_on_moving(&self, mover: &Mover) {
        let mut failed = None;
        loop {
            match mover.step().await {
                Ok(dealt) => {
                    self.health.up("nats");
                    if dealt {
                        self.metrics.exhausted();
                    }
                    // An advisory that cannot be dealt with is away for half a minute.
                    if failed.take_if(|since: &mut Instant| since.elapsed() > QUIET).is_some() {
                        self.health.up("advisories");
                    }
                }
                Err(error) => {
                    failed = Some(Instant::now());
                    self.tell("advisories", &error).await;
                }
            }
        }
    }

    async fn go_on_auditing(&self, mover: &Mover) {
        let (mut audit, mut suspects) = (Audit::default(), Suspects::default());
        loop {
            match mover.sweep(&mut suspects).await {
                Ok(_) => self.health.up("sweep"),
                Err(error) => self.tell("sweep", &error).await,
            }
            match audit.run(&self.queue, Some(&self.store)).await {
                Ok(report) => {
                    self.health.up("reconcile");
                    self.metrics.audited(&report);
                    for doubt in &report.doubts {
                        tracing::error!(job = doubt.job, why = doubt.why, "job in doubt");
                    }
                }
                Err(error) => self.tell("reconcile", &error).await,
            }
            tokio::time::sleep(Duration::from_secs(self.settings.audit_seconds)).await;
        }
    }

    async fn tell(&self, part: &'static str, error: &anyhow::Error) {
        tracing::warn!(error = format!("{error:#}"), "cannot reconcile yet");
        self.health.down(part, format!("{error:#}"));
        tokio::time::sleep(PAUSE).await;
    }
}
