//! The numbers that Prometheus reads. Names and labels are part of the product's interface.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::doors::Doors;
use super::labels::{Ended, Exemplar, Loaded, Phase, Request, Stage, Standing};
use super::queues::Queues;
use crate::event::FINAL_KINDS;
use crate::health::Health;
use crate::queue::Levels;
use crate::reconcile::Report;

/// Times of a stage.
pub(super) type Times = Family<Stage, Histogram, fn() -> Histogram>;
/// Times of a stage, each with the last job that took so long.
pub(super) type JobTimes = Family<Stage, HistogramWithExemplars<Exemplar>, fn() -> HistogramWithExemplars<Exemplar>>;

/// What this process did. Cheap to update from anywhere.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) jobs: Family<Ended, Counter>,
    pub(super) seconds: JobTimes,
    pub(super) model_seconds: Times,
    pub(super) phases: Family<Phase, Histogram, fn() -> Histogram>,
    pub(super) batches: Times,
    pub(super) loads: Family<Loaded, Gauge<f64, std::sync::atomic::AtomicU64>>,
    pub(super) in_flight: Family<Stage, Gauge>,
    pub(super) leases: Family<Stage, Gauge>,
    pub(super) deliveries: Family<Stage, Counter>,
    pub(super) waited: JobTimes,
    pub(super) redelivered: Family<Stage, Counter>,
    pub(super) made: [Family<Stage, Counter<f64, std::sync::atomic::AtomicU64>>; 4],
    pub(super) audit: Family<Standing, Gauge>,
    pub(super) queues: Arc<Queues>,
    pub(super) exhausted: Counter,
    pub(super) requests: Family<Request, Counter>,
    pub(super) followers: Gauge,
    pub(super) doors: Doors,
}

/// What stages make besides objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yield {
    /// Pictures painted.
    Pictures = 0,
    /// Denoising steps of one picture each.
    Steps = 1,
    /// Batches of pictures that went through the model together.
    Batches = 2,
    /// Seconds of sound that were listened to.
    AudioSeconds = 3,
}

/// Counts one job, one lease or one follower, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct InFlight(Gauge);

impl Metrics {
    /// All numbers at zero; `version` is that of the program.
    pub fn new(version: &'static str) -> Self {
        Self::of(version, &Arc::default())
    }

    /// The same, and whether the process is ready.
    pub fn of(version: &'static str, health: &Arc<Health>) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            jobs: Family::default(),
            seconds: Family::new_with_constructor(job_durations),
            model_seconds: Family::new_with_constructor(durations),
            phases: Family::new_with_constructor(short_durations),
            batches: Family::new_with_constructor(batch_sizes),
            loads: Family::default(),
            in_flight: Family::default(),
            leases: Family::default(),
            deliveries: Family::default(),
            waited: Family::new_with_constructor(job_durations),
            redelivered: Family::default(),
            made: Default::default(),
            audit: Family::default(),
            queues: Arc::default(),
            exhausted: Counter::default(),
            requests: Family::default(),
            followers: Gauge::default(),
            doors: Doors::default(),
        };
        let mut registry = Registry::default();
        metrics.register(&mut registry, version, health);
        metrics.registry = registry;
        metrics
    }

    /// A message was delivered, `waited` seconds after it was published; `attempt` counts from 1.
    pub fn delivered(&self, stage: &'static str, attempt: u64, waited: f64, of: Option<Exemplar>) {
        self.deliveries.get_or_create(&Stage { stage }).inc();
        if attempt == 1 {
            self.waited.get_or_create(&Stage { stage }).observe(waited, of, None);
        }
        if attempt > 1 {
            self.redelivered.get_or_create(&Stage { stage }).inc();
        }
    }

    /// One attempt ended after `seconds`. `outcome` is one of a few words, as `done` or `failed`.
    pub fn finished(&self, stage: &'static str, outcome: &'static str, seconds: f64, of: Option<Exemplar>) {
        self.jobs.get_or_create(&Ended { stage, outcome }).inc();
        self.seconds.get_or_create(&Stage { stage }).observe(seconds, of, None);
    }

    /// A part of an attempt took so long, the parts within it left out.
    pub fn passed(&self, stage: &'static str, phase: &'static str, seconds: f64) {
        self.phases.get_or_create(&Phase { stage, phase }).observe(seconds);
    }

    /// A stage made something.
    pub fn made(&self, stage: &'static str, what: Yield, amount: f64) {
        self.made[what as usize].get_or_create(&Stage { stage }).inc_by(amount);
    }

    /// A model was loaded.
    pub fn loaded(&self, stage: &'static str, model: &str, seconds: f64) {
        self.loads.get_or_create(&Loaded { stage, model: model.to_owned() }).set(seconds);
    }

    /// One more job is being worked on.
    pub fn in_flight(&self, stage: &'static str) -> InFlight {
        counted(&self.in_flight, stage)
    }

    /// One more message is leased.
    pub fn lease(&self, stage: &'static str) -> InFlight {
        counted(&self.leases, stage)
    }

    /// Seconds of the calls of a stage's model, for
    /// [`ModelThread::timed_by`](crate::model_thread::ModelThread::timed_by).
    pub fn model_seconds(&self, stage: &'static str) -> Histogram {
        self.model_seconds.get_or_create_owned(&Stage { stage })
    }

    /// How much goes through a stage's model together.
    pub fn batch_sizes(&self, stage: &'static str) -> Histogram {
        self.batches.get_or_create_owned(&Stage { stage })
    }

    /// What an audit found. `in-doubt` is the one to raise an alarm on: it should be zero.
    pub fn audited(&self, report: &Report) {
        let set = |standing: &str, jobs: usize| {
            let standing = Standing { standing: standing.to_owned() };
            self.audit.get_or_create(&standing).set(i64::try_from(jobs).unwrap_or(i64::MAX));
        };
        FINAL_KINDS.iter().for_each(|kind| set(kind, report.ended.get(*kind).copied().unwrap_or(0)));
        set("accepted", report.accepted);
        set("in-flight", report.in_flight);
        set("in-doubt", report.discrepancies.len());
    }

    /// What the queues hold now. Only the reconciler says so: each of many workers would say the same.
    pub fn measured(&self, levels: Levels) {
        self.queues.set(levels);
    }

    /// JetStream gave up on a message, and it was dealt with.
    pub fn exhausted(&self) {
        self.exhausted.inc();
    }

    /// A request of one of the gateway's interfaces was answered.
    pub fn answered(&self, interface: &'static str, status: u16) {
        self.requests.get_or_create(&Request { interface, status }).inc();
    }

    /// One more request follows or awaits a job.
    pub fn follower(&self) -> InFlight {
        self.followers.inc();
        InFlight(self.followers.clone())
    }

    /// Everything, in OpenMetrics text form.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counted(family: &Family<Stage, Gauge>, stage: &'static str) -> InFlight {
    let gauge = family.get_or_create_owned(&Stage { stage });
    gauge.inc();
    InFlight(gauge)
}

/// 50 ms to 14 minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.05, 2.0, 15))
}

fn job_durations() -> HistogramWithExemplars<Exemplar> {
    HistogramWithExemplars::new(exponential_buckets(0.05, 2.0, 15))
}

fn batch_sizes() -> Histogram {
    Histogram::new([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0])
}

/// 4 ms to 4 minutes: a phase may be one request of the store, or all steps of a batch.
fn short_durations() -> Histogram {
    Histogram::new(exponential_buckets(0.004, 2.5, 13))
}
