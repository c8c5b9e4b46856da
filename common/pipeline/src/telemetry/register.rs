//! Names of the numbers, and what they mean.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::metrics::{Metrics, Yield};
use super::process::Process;
use crate::health::Health;

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry, version: &'static str, health: &Arc<Health>) {
        registry.register_collector(Box::new(Process));
        registry.register_collector(Box::new(Ready(Arc::clone(health))));
        registry.register_collector(Box::new(Arc::clone(&self.queues)));
        self.doors.register(registry);
        let ours = registry.sub_registry_with_prefix("shanshui");
        ours.register("build", "Version of the program", Info::new([("version", version)]));
        self.register_attempts(ours);
        self.register_times(ours);
        ours.register("audit_jobs", "Jobs by where they stand; those in doubt should be none", self.audit.clone());
        ours.register("exhausted", "Messages that ran out of deliveries and were dealt with", self.exhausted.clone());
        ours.register("requests", "Requests that the gateway answered", self.requests.clone());
        ours.register("followers", "Requests that follow or await a job now", self.followers.clone());
    }

    fn register_attempts(&self, ours: &mut Registry) {
        let made = |what: Yield| self.made[what as usize].clone();
        ours.register("jobs", "Attempts at jobs, by how they ended", self.jobs.clone());
        ours.register("jobs_in_flight", "Jobs being worked on", self.in_flight.clone());
        ours.register("leases", "Messages that this process holds on loan", self.leases.clone());
        ours.register("deliveries", "Messages delivered", self.deliveries.clone());
        ours.register("redelivered", "Messages delivered again", self.redelivered.clone());
        ours.register("pictures", "Pictures painted", made(Yield::Pictures));
        ours.register("steps", "Denoising steps, each of one picture", made(Yield::Steps));
        ours.register("batches", "Batches that went through the model together", made(Yield::Batches));
        let heard = made(Yield::AudioSeconds);
        ours.register_with_unit("audio", "Sound that was listened to", Unit::Seconds, heard);
    }

    fn register_times(&self, ours: &mut Registry) {
        ours.register_with_unit("job", "Time of one attempt", Unit::Seconds, self.seconds.clone());
        let model = self.model_seconds.clone();
        ours.register_with_unit("model", "Time of one call of the model", Unit::Seconds, model);
        ours.register("batch_size", "Pictures in one call of the model", self.batches.clone());
        let help = "Time from publication to the first delivery";
        ours.register_with_unit("queue_wait", help, Unit::Seconds, self.waited.clone());
        let help = "Time of one part of an attempt, the parts within it left out";
        ours.register_with_unit("phase", help, Unit::Seconds, self.phases.clone());
        ours.register_with_unit("model_load", "Time that loading the model took", Unit::Seconds, self.loads.clone());
    }
}

/// `shanshui_ready`: what `/readyz` says, as a number, and spans that did not reach their collector.
#[derive(Debug)]
struct Ready(Arc<Health>);

impl Collector for Ready {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let ready = i64::from(self.0.missing().is_empty());
        let help = "1 if the process is ready, as /readyz says it";
        ConstGauge::new(ready).encode(encoder.encode_descriptor("shanshui_ready", help, None, MetricType::Gauge)?)?;
        let Some(lost) = super::otlp::lost() else { return Ok(()) };
        let help = "Spans that were not delivered to the collector of traces";
        let metric = encoder.encode_descriptor("shanshui_spans_lost", help, None, MetricType::Counter)?;
        ConstCounter::new(lost).encode(metric)
    }
}
