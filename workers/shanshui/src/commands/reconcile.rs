//! `shanshui reconcile`: sees to it that every accepted job ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use shanshui_pipeline::config::{NatsOptions, S3Options, TelemetryOptions};
use shanshui_pipeline::health::{Part, Scope};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::reconcile::{Audit, Erased, Rescuer, Retention, Rule, Stranded, Watchman};
use shanshui_pipeline::store::Store;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::{Step, causes};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, OrExit, Refusal};
use crate::service::Service;

/// After a failure, before the next try.
const PAUSE: Duration = Duration::from_secs(1);
/// Jobs erased between two audits, so that a long list does not keep the next audit waiting.
const AT_A_TIME: usize = 500;
/// Between two measurements of the queues, for /metrics.
const MEASURE: Duration = Duration::from_secs(10);
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
    /// How long jobs are kept after their end, as done=7 or failed=30 or tenant-a/all=1, in days; then
    /// recording, transcript, pictures, events and dead letters are erased. May be repeated; the rule
    /// that says most exactly whom it is for counts [default: nothing is erased; events go after --events-days]
    #[arg(long = "keep", env = "SHANSHUI_KEEP", value_name = "[LANE/]END=DAYS", value_delimiter = ',')]
    keep: Vec<Rule>,
}

/// What reconciling works with.
pub(crate) struct Reconciler {
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) health: Scope,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: ReconcileSettings,
    pub(crate) attempts: u64,
}

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: ReconcileArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    args.s3.check().or_exit(Exit::Usage)?;
    let mut service = Service::start(&args.telemetry, &[Part::Nats, Part::Store, Part::Audit], Duration::ZERO).await?;
    let stop = service.shutdown.drain.clone();
    let connected = tokio::select! {
        connected = connect(&args, steps, &mut service) => connected?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    let (queue, store) = connected;
    let (health, metrics) = (service.health.process(), Arc::clone(&service.metrics));
    let ReconcileArgs { settings, attempts, .. } = args;
    Reconciler { queue, store, health, metrics, settings, attempts }.serve(stop).await?;
    Ok(Exit::Done)
}

async fn connect(
    args: &ReconcileArgs,
    steps: &'static [Step],
    service: &mut Service,
) -> anyhow::Result<(Queue, Store)> {
    let queue = Queue::connect(&args.nats, "shanshui-reconcile", steps).await?;
    service.await_link(&queue);
    queue.wait_connected().await;
    let store = service.await_store(&args.s3).await?;
    Ok((queue, store))
}

impl Reconciler {
    /// Rescues and audits until `stop`.
    ///
    /// # Errors
    /// Only at the start, when the consumer is missing; later trouble is told by readiness.
    pub(crate) async fn serve(&self, stop: CancellationToken) -> anyhow::Result<()> {
        let rescuer = Rescuer::start(&self.queue, &self.store, self.attempts).await?;
        let work = async {
            tokio::join!(self.go_on_rescuing(&rescuer), self.go_on_auditing(&rescuer), self.go_on_measuring());
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    async fn go_on_rescuing(&self, rescuer: &Rescuer) {
        let mut failed = None;
        loop {
            match rescuer.step().await {
                Ok(dealt) => {
                    self.health.up(Part::Nats);
                    if dealt {
                        self.metrics.exhausted();
                    }
                    // An advisory that cannot be dealt with comes again after half a minute.
                    if failed.take_if(|since: &mut Instant| since.elapsed() > QUIET).is_some() {
                        self.health.up(Part::Advisories);
                    }
                }
                Err(error) => {
                    failed = Some(Instant::now());
                    self.tell(Part::Advisories, &error).await;
                }
            }
        }
    }

    async fn go_on_auditing(&self, rescuer: &Rescuer) {
        let mut audit = loop {
            match Audit::continued(&self.queue).await {
                Ok(audit) => break audit,
                Err(error) => self.tell(Part::Audit, &error).await,
            }
        };
        let (mut stranded, mut watchman) = (Stranded::default(), Watchman::default());
        let mut retention = Retention::of(self.settings.keep.clone());
        loop {
            match rescuer.sweep(&mut stranded).await {
                Ok(_) => self.health.up(Part::Sweep),
                Err(error) => self.tell(Part::Sweep, &error).await,
            }
            match self.audit(&mut audit, &mut watchman).await {
                Ok(()) => self.health.up(Part::Audit),
                Err(error) => self.tell(Part::Audit, &error).await,
            }
            match self.erase(&mut retention).await {
                Ok(()) => self.health.up(Part::Retention),
                Err(error) => self.tell(Part::Retention, &error).await,
            }
            tokio::time::sleep(Duration::from_secs(self.settings.audit_seconds)).await;
        }
    }

    /// Only here, so that each number is told once, however many workers there are.
    async fn go_on_measuring(&self) {
        loop {
            match self.queue.levels().await {
                Ok(levels) => self.metrics.measured(levels),
                Err(error) => tracing::debug!(error = causes(&error), "cannot measure the queues"),
            }
            tokio::time::sleep(MEASURE).await;
        }
    }

    async fn audit(&self, audit: &mut Audit, watchman: &mut Watchman) -> anyhow::Result<()> {
        let report = audit.run(&self.queue, Some(&self.store)).await?;
        self.metrics.audited(&report);
        for wrong in &report.discrepancies {
            tracing::error!(job = wrong.job, why = wrong.why, "the state of a job is inconsistent");
        }
        audit.keep(&self.queue).await?;
        watchman.look(&self.queue, &report.pools, &self.health).await
    }

    async fn erase(&self, retention: &mut Retention) -> anyhow::Result<()> {
        let erased = retention.pass((&self.queue, &self.store), OffsetDateTime::now_utc(), AT_A_TIME).await?;
        for Erased { job, objects, events, .. } in &erased {
            tracing::info!(job, objects, events, "job erased: its time was over");
        }
        Ok(())
    }

    async fn tell(&self, part: Part, error: &anyhow::Error) {
        tracing::warn!(error = causes(error), ?part, "cannot reconcile; trying again");
        self.health.down(part, causes(error));
        tokio::time::sleep(PAUSE).await;
    }
}
