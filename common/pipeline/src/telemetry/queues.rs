//! What the queues hold, as the reconciler measured it last.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::queue::{Levels, PoolLevel};

/// A measurement is not shown any longer: a reconciler that has lost NATS must not say that all is well.
const STALE: Duration = Duration::from_secs(60);

/// The last measurement. A collector rather than gauges: a pool that is gone must go from the page, and a
/// page must not be read between two numbers.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<Option<(Instant, Levels)>>);

/// Name, help, unit, value of one number of a pool.
type OfPool = (&'static str, &'static str, Option<Unit>, fn(&PoolLevel) -> Option<u64>);

const OF_POOLS: [OfPool; 5] = [
    ("shanshui_queue_waiting_jobs", "Jobs that nobody has taken yet", None, |pool| Some(pool.waiting)),
    ("shanshui_queue_in_work_jobs", "Jobs in work, or waiting for another attempt", None, |pool| Some(pool.in_work)),
    ("shanshui_queue_redelivered_jobs", "Of those in work: delivered more than once", None, |pool| {
        Some(pool.redelivered)
    }),
    ("shanshui_queue_asking_workers", "Workers that ask for a job now", None, |pool| Some(pool.asking)),
    ("shanshui_queue_oldest_waiting", "Age of the oldest job that nobody has taken", Some(Unit::Seconds), |pool| {
        pool.oldest_seconds
    }),
];

impl Queues {
    pub(super) fn set(&self, levels: Levels) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), levels));
    }

    fn fresh(&self) -> Option<Levels> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < STALE).map(|(_, levels)| levels.clone())
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(levels) = self.fresh() else { return Ok(()) };
        for (name, help, unit, value) in OF_POOLS {
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for pool in &levels.pools {
                let labels = [("stage", pool.stage.as_str()), ("pool", pool.pool.as_str())];
                if let Some(value) = value(pool) {
                    ConstGauge::new(whole(value)).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let mut dead = encoder.encode_descriptor("shanshui_dead_jobs", "Jobs in DEAD", None, MetricType::Gauge)?;
        for (stage, jobs) in &levels.dead {
            ConstGauge::new(whole(*jobs)).encode(dead.encode_family(&[("stage", stage.as_str())])?)?;
        }
        encode_streams(&mut encoder, &levels)
    }
}

fn encode_streams(encoder: &mut DescriptorEncoder<'_>, levels: &Levels) -> Result<(), fmt::Error> {
    let bytes = Some(&Unit::Bytes);
    let mut held = encoder.encode_descriptor("shanshui_stream", "Bytes in a stream", bytes, MetricType::Gauge)?;
    for stream in &levels.streams {
        ConstGauge::new(whole(stream.bytes)).encode(held.encode_family(&[("stream", stream.name.as_str())])?)?;
    }
    let help = "Bytes that a stream takes; a stream without a limit is missing here";
    let mut limits = encoder.encode_descriptor("shanshui_stream_limit", help, bytes, MetricType::Gauge)?;
    for stream in &levels.streams {
        if let Some(limit) = stream.limit {
            ConstGauge::new(whole(limit)).encode(limits.encode_family(&[("stream", stream.name.as_str())])?)?;
        }
    }
    let help = "Messages in a stream";
    let mut messages = encoder.encode_descriptor("shanshui_stream_messages", help, None, MetricType::Gauge)?;
    for stream in &levels.streams {
        ConstGauge::new(whole(stream.messages)).encode(messages.encode_family(&[("stream", stream.name.as_str())])?)?;
    }
    Ok(())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
