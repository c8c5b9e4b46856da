//! Streams and consumers as the contract declares them, in the fields of NATS's own JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Queue;
use crate::config::StreamSettings;
use crate::event::KEPT_KINDS;
use crate::names::{self, DEFAULT_POOL, Names};
use crate::step::Step;

/// The durable consumer on `ADVISORIES`.
pub const RECONCILE: &str = "reconcile";
/// The stream of bucket events.
pub(crate) const INTAKE: &str = "INTAKE";
/// The stream of webhooks, and the consumer of the gateways on it and on `ENDS`.
pub(crate) const WEBHOOKS: (&str, &str) = ("WEBHOOKS", "webhooks");
/// Publish retries may come late: longer than any client keeps retrying.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(15 * 60);
/// How long events, ends and cancels are kept.
const EVENTS_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long dead letters are kept.
const DEAD_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Dead letters of one stage and lane; beyond it the oldest of the same lane goes.
const DEAD_LETTERS: i64 = 10_000;
/// Least room of a stream that is no queue, in bytes.
const LEAST_BYTES: i64 = 1 << 20;
/// Largest event; a longer transcript is in the bucket.
const EVENT_BYTES: i64 = 1 << 20;
/// Largest cancel.
pub(crate) const CANCEL_BYTES: i64 = 4 << 10;
/// Cancels of one job that are kept.
const CANCELS: i64 = 16;
/// Largest webhook: an address, and how a job ended.
const WEBHOOK_BYTES: i64 = 64 << 10;

/// Limits of a stream that is no queue: time, messages of one subject, bytes of one message, and its
/// part of what a queue may take. The server sets all of that aside when the stream is made.
struct Bounds {
    age: Duration,
    messages: i64,
    size: i64,
    part: (i64, i64),
}

/// One stream or consumer.
pub(super) struct Declared {
    pub(super) name: String,
    /// Fields that `streams apply` keeps as they are here.
    pub(super) own: Map<String, Value>,
    /// Fields that are set once, when it is made. An operator may change them.
    pub(super) first: Map<String, Value>,
}

impl Queue {
    /// How long events are kept unless an operator changes it.
    pub const EVENTS_KEPT: Duration = EVENTS_AGE;

    /// Every stream, queues first.
    pub(super) fn declared_streams(&self, settings: &StreamSettings) -> Vec<Declared> {
        let mut all: Vec<_> = self.steps.iter().map(|step| self.work_queue(step, settings)).collect();
        all.extend(self.books(settings));
        all.push(self.inbox(settings));
        all.push(self.webhooks(settings));
        all
    }

    /// Who wants to be told of which end, and what is to be told now. Only gateways need it. When it is
    /// full, a job with a webhook is refused: what was taken is not dropped for it.
    fn webhooks(&self, settings: &StreamSettings) -> Declared {
        let subjects = [self.names.webhook("*"), self.names.webhook_in("*", "*")];
        let own = json!({ "subjects": subjects, "retention": "limits", "discard": "new" });
        let bytes = (settings.queue_bytes / 16).max(LEAST_BYTES);
        let first = json!({ "max_bytes": bytes, "max_msg_size": WEBHOOK_BYTES, "max_age": nanoseconds(EVENTS_AGE) });
        self.stream(WEBHOOKS.0, settings, own, first)
    }

    /// Events of buckets, until an intake has taken them. Nobody who starts jobs himself needs it.
    fn inbox(&self, settings: &StreamSettings) -> Declared {
        let own = json!({ "subjects": [self.names.intake("*")], "retention": "workqueue", "discard": "new" });
        let bytes = (settings.queue_bytes / 16).max(LEAST_BYTES);
        self.stream(INTAKE, settings, own, json!({ "max_bytes": bytes, "max_msg_size": EVENT_BYTES }))
    }

    fn work_queue(&self, step: &Step, settings: &StreamSettings) -> Declared {
        let (from, to) = self.names.spread(step.queue);
        let pools = settings.pools.iter().filter(|pool| pool.queue == step.queue);
        let pools = pools.map(|pool| self.names.filter(step.queue, &pool.pool, None));
        let subjects: Vec<String> = std::iter::once(from.clone()).chain(pools).collect();
        let lanes =
            settings.lane_jobs.map(|most| json!({ "max_msgs_per_subject": most, "discard_new_per_subject": true }));
        let own = json!({
            "subjects": subjects,
            "subject_transform": { "src": from, "dest": to },
            "retention": "workqueue",
            // The default, "old", would silently delete jobs that nobody has taken yet.
            "discard": "new",
            "max_bytes": settings.queue_bytes,
        });
        let own = Value::Object(merged(own, lanes.unwrap_or_default()));
        self.stream(&step.stream(), settings, own, json!({}))
    }

    /// All streams that are no queues.
    fn books(&self, settings: &StreamSettings) -> [Declared; 6] {
        let names = &self.names;
        let book = |name: &str, subjects: Vec<String>, bounds: Bounds| {
            let own = json!({ "subjects": subjects, "retention": "limits" });
            let days = match name {
                "EVENTS" | "ENDS" | "CANCELS" => settings.events_days,
                "DEAD" => settings.dead_days,
                _ => None,
            };
            // An age that is asked for is ours from then on; otherwise an operator's change stays.
            let age =
                days.map(|days| json!({ "max_age": nanoseconds(Duration::from_secs(u64::from(days) * 24 * 3600)) }));
            let own = Value::Object(merged(own, age.unwrap_or_default()));
            let first = json!({
                "discard": "old",
                "max_age": nanoseconds(bounds.age),
                "max_bytes": (settings.queue_bytes / bounds.part.1 * bounds.part.0).max(LEAST_BYTES),
                "max_msgs_per_subject": bounds.messages,
                "max_msg_size": bounds.size,
            });
            self.stream(name, settings, own, first)
        };
        let week = |messages: i64, size: i64, part| Bounds { age: EVENTS_AGE, messages, size, part };
        let (from, to) = names.spread_cancels();
        let mut cancels =
            book("CANCELS", vec![from.clone(), names.cancel_in("*", "*")], week(CANCELS, CANCEL_BYTES, (1, 16)));
        cancels.own.insert("subject_transform".into(), json!({ "src": from, "dest": to }));
        let events = KEPT_KINDS.iter().map(|kind| names.any_event(kind)).collect();
        let letters = Bounds { age: DEAD_AGE, messages: DEAD_LETTERS, size: -1, part: (1, 2) };
        [
            book("EVENTS", events, week(-1, EVENT_BYTES, (1, 1))),
            book("ENDS", vec![names.ended("*", "*")], week(-1, EVENT_BYTES, (1, 2))),
            cancels,
            book("DEAD", vec![names.dead("*", "*")], letters),
            book("ADVISORIES", self.advisory_subjects(), week(-1, EVENT_BYTES, (1, 16))),
            book("STATE", vec![names.state("*")], week(1, -1, (1, 16))),
        ]
    }

    fn advisory_subjects(&self) -> Vec<String> {
        let of = |kind: &str| {
            let subject =
                |step: &Step| format!("$JS.EVENT.ADVISORY.CONSUMER.{kind}.{}.>", self.names.stream(&step.stream()));
            self.steps.iter().map(subject).collect::<Vec<_>>()
        };
        [of("MAX_DELIVERIES"), of("MSG_TERMINATED")].concat()
    }

    fn stream(&self, name: &str, settings: &StreamSettings, own: Value, first: Value) -> Declared {
        let common = json!({
            "storage": "file",
            "num_replicas": settings.replicas,
            "duplicate_window": nanoseconds(DUPLICATE_WINDOW),
            "allow_direct": true,
        });
        Declared { name: self.names.stream(name), own: merged(common, own), first: merged(json!({}), first) }
    }

    /// Every consumer of a step's pools.
    pub(super) fn declared_consumers(&self, step: &Step, pools: &[String], settings: &StreamSettings) -> Vec<Declared> {
        let default = std::iter::once(DEFAULT_POOL);
        let pools = default.chain(pools.iter().map(String::as_str));
        pools.flat_map(|pool| self.consumers_of(step, pool, settings)).collect()
    }

    fn consumers_of(&self, step: &Step, pool: &str, settings: &StreamSettings) -> Vec<Declared> {
        let consumer = |(name, partition): (String, Option<u32>)| {
            let own = json!({
                "ack_policy": "explicit",
                "ack_wait": nanoseconds(Duration::from_secs(settings.ack_wait_seconds)),
                "max_deliver": settings.max_deliver,
                "max_ack_pending": settings.max_ack_pending,
                "filter_subject": self.names.filter(step.queue, pool, partition),
            });
            durable(name, own)
        };
        names::consumers(step.stage, pool).into_iter().map(consumer).collect()
    }
}

/// The consumers of every intake: what buckets tell, and how jobs ended.
pub(super) fn intake_consumers(names: &Names, settings: &StreamSettings) -> Vec<(&'static str, Declared)> {
    let ack_wait = nanoseconds(Duration::from_secs(settings.ack_wait_seconds));
    let consumer = |name: &str, filter: String| {
        let own =
            json!({ "ack_policy": "explicit", "ack_wait": ack_wait, "max_deliver": -1, "filter_subject": filter });
        durable(names::intake_consumer(name), own)
    };
    let all = std::iter::once(DEFAULT_POOL).chain(settings.intakes.iter().map(String::as_str));
    let both = |name| [(INTAKE, consumer(name, names.intake(name))), ("ENDS", consumer(name, names.ended("*", "*")))];
    all.flat_map(both).collect()
}

/// The consumers of the gateways: how jobs ended, and what is to be told. A receiver that is away keeps
/// many messages waiting for their next delivery, and must not hold up the others.
pub(super) fn webhook_consumers(names: &Names, settings: &StreamSettings) -> [(&'static str, Declared); 2] {
    let ack_wait = nanoseconds(Duration::from_secs(settings.ack_wait_seconds));
    let consumer = |most: i64, filter: String| {
        let own = json!({
            "ack_policy": "explicit", "ack_wait": ack_wait, "max_deliver": -1, "max_ack_pending": most,
            "filter_subject": filter,
        });
        durable(WEBHOOKS.1.to_owned(), own)
    };
    [("ENDS", consumer(1000, names.ended("*", "*"))), (WEBHOOKS.0, consumer(-1, names.webhook_in("*", "*")))]
}

/// An advisory comes again until it is dealt with: nobody else would tell of that job.
pub(super) fn advisories_consumer() -> Declared {
    let ack_wait = nanoseconds(Duration::from_secs(30));
    let own = json!({ "ack_policy": "explicit", "ack_wait": ack_wait, "max_deliver": -1, "max_ack_pending": 1000 });
    durable(RECONCILE.to_owned(), own)
}

fn durable(name: String, own: Value) -> Declared {
    let own = merged(json!({ "durable_name": name, "name": name }), own);
    Declared { name, own, first: Map::new() }
}

fn merged(one: Value, other: Value) -> Map<String, Value> {
    let entries = |value| match value {
        Value::Object(entries) => entries,
        _ => Map::new(),
    };
    entries(one).into_iter().chain(entries(other)).collect()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
