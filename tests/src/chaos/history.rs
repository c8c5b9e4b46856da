//! What the streams hold at the end of a trial.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, Context};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::steps::steps;

/// Every event, by job and in order; DEAD; and how many messages wait.
pub(super) struct History {
    pub(super) jobs: BTreeMap<String, Vec<Told>>,
    /// When any event came, in order: seconds since 1970.
    pub(super) times: Vec<f64>,
    /// Jobs in DEAD with the reason.
    pub(super) dead: Vec<(String, String)>,
    /// Messages on all queues.
    pub(super) left: u64,
}

/// One event.
pub(super) struct Told {
    /// When the stream took it: seconds since 1970.
    pub(super) at: f64,
    pub(super) kind: String,
    pub(super) data: Value,
    /// The worker that told it.
    pub(super) worker: String,
}

struct Message {
    subject: String,
    at: f64,
    headers: async_nats::HeaderMap,
    payload: bytes::Bytes,
}

impl History {
    pub(super) async fn read(url: &str) -> Self {
        let servers: Vec<&str> = url.split(',').collect();
        let queue = jetstream::new(async_nats::connect(servers).await.expect("a queue that nobody breaks any more"));
        let mut history = Self { jobs: BTreeMap::new(), times: Vec::new(), dead: Vec::new(), left: 0 };
        for message in all(&queue, "EVENTS").await {
            history.add(&message);
        }
        for message in all(&queue, "DEAD").await {
            let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
            history.dead.push((header("Shanshui-Job"), header("Shanshui-Reason")));
        }
        for step in steps() {
            history.left += queue.get_stream(&step.stream).await.expect("a stream").cached_info().state.messages;
        }
        history
    }

    fn add(&mut self, message: &Message) {
        let mut parts = message.subject.split('.').skip(1);
        if parts.next() != Some("events") {
            return;
        }
        let (job, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let event: Value = serde_json::from_slice(&message.payload).expect("an event is JSON");
        let worker = event["source"].as_str().and_then(|source| source.rsplit('/').next()).unwrap_or_default();
        self.times.push(message.at);
        let told = Told { at: message.at, kind: kind.into(), data: event["data"].clone(), worker: worker.into() };
        self.jobs.entry(job.into()).or_default().push(told);
    }

    /// Writes everything down, one event a line.
    pub(super) fn keep(&self, file: &Path) {
        let mut out = std::io::BufWriter::new(std::fs::File::create(file).expect("a file for the events"));
        for (job, told) in &self.jobs {
            for event in told {
                let line = json!({ "job": job, "at": event.at, "worker": event.worker, "data": event.data });
                writeln!(out, "{line}").expect("room for the events");
            }
        }
    }
}

/// All that is on a stream now.
async fn all(queue: &Context, stream: &str) -> Vec<Message> {
    let stream = queue.get_stream(stream).await.expect("a stream");
    let count = stream.cached_info().state.messages as usize;
    let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
    let messages = stream.create_consumer(config).await.expect("a reader").messages().await.expect("messages");
    let messages = messages.take(count).map(|message| {
        let message = message.expect("a message");
        let at = message.info().expect("a place in the stream").published.unix_timestamp_nanos() as f64 / 1e9;
        let headers = message.headers.clone().unwrap_or_default();
        Message { subject: message.subject.to_string(), at, headers, payload: message.payload.clone() }
    });
    messages.collect().await
}
