//! Numbers of the doors that work by themselves: webhooks and the intake of buckets.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::metrics::Metrics;
use crate::queue::WebhookLevel;

/// A measurement is not shown any longer: a gateway that has lost NATS must not say that all is well.
const STALE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    part: &'static str,
}

type Outcomes = Family<Outcome, Counter>;

/// What an intake counts, each by how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intaken {
    /// Events of buckets.
    Events = 0,
    /// Objects that may be recordings.
    Objects = 1,
    /// Ends of jobs, whose results go back.
    Results = 2,
}

/// Everything about webhooks and intakes.
#[derive(Debug)]
pub(super) struct Doors {
    webhooks: Outcomes,
    due: Arc<Due>,
    intaken: [Outcomes; 3],
    listings: Family<Part, Histogram, fn() -> Histogram>,
    successes: Family<Part, Gauge<f64, AtomicU64>>,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            webhooks: Family::default(),
            due: Arc::default(),
            intaken: Default::default(),
            // 10 ms to 22 minutes: a bucket of a million objects is a thousand pages.
            listings: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 3.0, 11))),
            successes: Family::default(),
        }
    }
}

impl Doors {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Arc::clone(&self.due)));
        let ours = registry.sub_registry_with_prefix("shanshui");
        ours.register("webhooks", "Tries to tell a receiver, by how they ended", self.webhooks.clone());
        let counted = |what: Intaken| self.intaken[what as usize].clone();
        ours.register("intake_events", "Events of buckets, by what became of them", counted(Intaken::Events));
        let help = "Objects that events or listings name, by what became of them";
        ours.register("intake_objects", help, counted(Intaken::Objects));
        let help = "Ends of jobs, by what became of their results";
        ours.register("intake_results", help, counted(Intaken::Results));
        let help = "Time of one listing of the bucket, the recordings that it found included";
        ours.register_with_unit("intake_listing", help, Unit::Seconds, self.listings.clone());
        let help = "When a part of the intake last worked, in seconds since 1970";
        ours.register_with_unit("intake_success_timestamp", help, Unit::Seconds, self.successes.clone());
    }
}

impl Metrics {
    /// A receiver was told, or not: `delivered`, `again`, `given-up` or `no-place`.
    pub fn webhook(&self, outcome: &'static str) {
        self.doors.webhooks.get_or_create(&Outcome { outcome }).inc();
    }

    /// What receivers are still to be told.
    pub fn webhooks_due(&self, level: WebhookLevel) {
        *self.doors.due.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), level));
    }

    /// An intake dealt with something. `outcome` is one of a few words, as `submitted` or `refused`.
    pub fn intaken(&self, what: Intaken, outcome: &'static str) {
        self.doors.intaken[what as usize].get_or_create(&Outcome { outcome }).inc();
    }

    /// A bucket was listed to its end.
    pub fn listed(&self, seconds: f64) {
        self.doors.listings.get_or_create(&Part { part: "listing" }).observe(seconds);
    }

    /// A part of an intake works now: `events`, `listing` or `results`.
    pub fn intake_works(&self, part: &'static str) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.doors.successes.get_or_create(&Part { part }).set(now.as_secs_f64());
    }
}

/// The last measurement of what is due.
#[derive(Debug, Default)]
struct Due(Mutex<Option<(Instant, WebhookLevel)>>);

impl Collector for Due {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, level)) = last.filter(|(at, _)| at.elapsed() < STALE) else { return Ok(()) };
        let mut tell = |name, help, unit, value: u64| {
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)
        };
        tell("shanshui_webhooks_waiting", "Ends of jobs that no try told yet", None, level.waiting)?;
        tell("shanshui_webhooks_in_work", "Ends that are told now, or wait for another try", None, level.in_work)?;
        let (help, seconds) = ("Age of the oldest end that its receiver has not heard", Some(&Unit::Seconds));
        tell("shanshui_webhooks_oldest", help, seconds, level.oldest_seconds)
    }
}
