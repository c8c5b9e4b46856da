//! The numbers that Prometheus reads. Names and labels are part of the product's interface.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::memory::ResidentMemory;
use crate::event::FINAL_KINDS;
use crate::reconcile::Report;

/// What this process did. Cheap to update from anywhere.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    jobs: Family<Ended, Counter>,
    seconds: Family<Stage, Histogram, fn() -> Histogram>,
    model_seconds: Family<Stage, Histogram, fn() -> Histogram>,
    in_flight: Family<Stage, Gauge>,
    deliveries: Family<Stage, Counter>,
    waited: Family<Stage, Histogram, fn() -> Histogram>,
    redelivered: Family<Stage, Counter>,
    audit: Family<Standing, Gauge>,
    exhausted: Counter,
    requests: Family<Request, Counter>,
    followers: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    stage: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    interface: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    standing: String,
}

/// Counts one job, or one follower, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct InFlight(Gauge);

impl Metrics {
    /// All numbers at zero; `version` is that of the program.
    pub fn new(version: &'static str) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            jobs: Family::default(),
            seconds: Family::new_with_constructor(durations),
            model_seconds: Family::new_with_constructor(durations),
            in_flight: Family::default(),
            deliveries: Family::default(),
            waited: Family::new_with_constructor(durations),
            redelivered: Family::default(),
            audit: Family::default(),
            exhausted: Counter::default(),
            requests: Family::default(),
            followers: Gauge::default(),
        };
        metrics.register(version);
        metrics
    }

    /// A message was delivered, `waited` seconds after it was published; `attempt` counts from 1.
    pub fn delivered(&self, stage: &'static str, attempt: u64, waited: f64) {
        self.deliveries.get_or_create(&Stage { stage }).inc();
        if attempt == 1 {
            self.waited.get_or_create(&Stage { stage }).observe(waited);
        }
        if attempt > 1 {
            self.redelivered.get_or_create(&Stage { stage }).inc();
        }
    }

    /// One attempt ended after `seconds`. `outcome` is one of a few words, as `done` or `failed`.
    pub fn finished(&self, stage: &'static str, outcome: &'static str, seconds: f64) {
        self.jobs.get_or_create(&Ended { stage, outcome }).inc();
        self.seconds.get_or_create(&Stage { stage }).observe(seconds);
    }

    /// One more job is being worked on.
    pub fn in_flight(&self, stage: &'static str) -> InFlight {
        let gauge = self.in_flight.get_or_create_owned(&Stage { stage });
        gauge.inc();
        InFlight(gauge)
    }

    /// Seconds of the calls of a stage's model, for
    /// [`ModelThread::timed_by`](crate::model_thread::ModelThread::timed_by).
    pub fn model_seconds(&self, stage: &'static str) -> Histogram {
        self.model_seconds.get_or_create_owned(&Stage { stage })
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

    fn register(&mut self, version: &'static str) {
        self.registry.register_collector(Box::new(ResidentMemory));
        let ours = self.registry.sub_registry_with_prefix("shanshui");
        ours.register("build", "Version of the program", Info::new([("version", version)]));
        ours.register("jobs", "Attempts at jobs, by how they ended", self.jobs.clone());
        ours.register_with_unit("job", "Time of one attempt", Unit::Seconds, self.seconds.clone());
        ours.register_with_unit("model", "Time of one call of the model", Unit::Seconds, self.model_seconds.clone());
        ours.register("jobs_in_flight", "Jobs being worked on", self.in_flight.clone());
        ours.register("deliveries", "Messages delivered", self.deliveries.clone());
        ours.register_with_unit(
            "queue_wait",
            "Time from publication to the first delivery",
            Unit::Seconds,
            self.waited.clone(),
        );
        ours.register("audit_jobs", "Jobs by where they stand; those in doubt should be none", self.audit.clone());
        ours.register("exhausted", "Messages that ran out of deliveries and were dealt with", self.exhausted.clone());
        ours.register("requests", "Requests that the gateway answered", self.requests.clone());
        ours.register("followers", "Requests that follow or await a job now", self.followers.clone());
        ours.register("redelivered", "Messages delivered again", self.redelivered.clone());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// 50 ms to 14 minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.05, 2.0, 15))
}
