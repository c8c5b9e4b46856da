//! Spans on their way to a collector: OTLP over HTTP, as JSON (opentelemetry.io/docs/specs/otlp).
//!
//! A thread of its own sends them. What it cannot send in time is dropped and counted: a collector that is
//! away costs no job anything, and a bounded amount of memory.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::collector::Collector;
use super::sampler::{self, Sampler};
use crate::trace::TraceContext;

/// Spans that wait; more are dropped (the default of `OTEL_BSP_MAX_QUEUE_SIZE`).
const WAITING: usize = 2048;
/// Spans of one request (the default of `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;
/// A span waits no longer for others.
const PAUSE: Duration = Duration::from_secs(2);

static WAY: OnceLock<SyncSender<Message>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Message {
    Span(Box<Finished>),
    /// Whoever waits is told when all before it has been sent.
    Flush(SyncSender<()>),
}

/// What a span is to those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Producer = 4,
    Consumer = 5,
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    ids: Option<(String, String, Option<String>)>,
    name: String,
    kind: Kind,
    times: (SystemTime, SystemTime),
    attributes: Vec<Value>,
    failed: bool,
}

impl Finished {
    /// `place` is its trace, its own id, and its parent's. Of a trace that is not sampled nothing is kept.
    pub(crate) fn new(
        name: String,
        kind: Kind,
        (trace, own, parent): (&TraceContext, u64, Option<u64>),
        times: (SystemTime, SystemTime),
    ) -> Self {
        let hex = |id: u64| format!("{id:016x}");
        let ids = trace.is_sampled().then(|| (trace.trace_id(), hex(own), parent.map(hex)));
        Self { ids, name, kind, times, attributes: Vec::new(), failed: false }
    }

    /// The same with an attribute.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.push(attribute(key, &value.into()));
        self
    }

    pub(crate) fn failed(self, failed: bool) -> Self {
        Self { failed, ..self }
    }

    /// As OTLP's mapping to JSON has it: ids in hexadecimal, 64-bit numbers as strings.
    fn json(&self) -> Value {
        let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let (trace, own, parent) = self.ids.clone().unwrap_or_default();
        json!({
            "traceId": trace,
            "spanId": own,
            "parentSpanId": parent.unwrap_or_default(),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": nanos(self.times.0),
            "endTimeUnixNano": nanos(self.times.1),
            "attributes": self.attributes,
            "status": if self.failed { json!({ "code": 2 }) } else { json!({}) },
        })
    }
}

/// One attribute in OTLP's JSON.
pub(super) fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": key, "value": value })
}

/// Starts sending, if the environment names a collector. Once per process; later calls do nothing. Returns
/// what is to be said of variables that are ignored.
///
/// # Errors
/// A variable of OpenTelemetry whose value cannot be used.
pub fn start() -> anyhow::Result<Vec<String>> {
    #[expect(clippy::disallowed_methods, reason = "variables of OpenTelemetry, with the names that it gave them")]
    let variables = |name: &str| std::env::var(name).ok();
    let (sampler, warnings) = Sampler::from_environment(&variables);
    sampler::choose(sampler);
    let Some(collector) = Collector::from_environment(&variables)? else { return Ok(warnings) };
    if WAY.get().is_none() {
        // Whoever came first sends.
        let _ = WAY.set(begin(collector)?);
    }
    Ok(warnings)
}

fn begin(collector: Collector) -> std::io::Result<SyncSender<Message>> {
    let (way, waiting) = sync_channel(WAITING);
    std::thread::Builder::new().name("traces".into()).spawn(move || send_all(&waiting, &collector))?;
    Ok(way)
}

/// Whether anybody wants spans.
pub(crate) fn is_on() -> bool {
    WAY.get().is_some()
}

/// Sends a span, unless too many wait. Never waits.
pub(crate) fn export(span: Finished) {
    if let Some(way) = WAY.get() {
        put(way, span);
    }
}

fn put(way: &SyncSender<Message>, span: Finished) {
    if span.ids.is_some() && way.try_send(Message::Span(Box::new(span))).is_err() {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until what was exported has been sent, `time` at most. For the end of a process.
pub fn flush(time: Duration) {
    let Some(way) = WAY.get() else { return };
    let (done, told) = sync_channel(1);
    let until = Instant::now() + time;
    while way.try_send(Message::Flush(done.clone())).is_err() {
        if Instant::now() > until {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = told.recv_timeout(until.saturating_duration_since(Instant::now()));
}

/// Spans that did not reach the collector; none where there is no collector.
pub(super) fn lost() -> Option<u64> {
    WAY.get().map(|_| LOST.load(Ordering::Relaxed))
}

fn send_all(waiting: &Receiver<Message>, collector: &Collector) {
    let mut batch = Vec::new();
    let mut works = true;
    loop {
        let told = collect(waiting, &mut batch);
        if !batch.is_empty() {
            let spans: Vec<Value> = batch.drain(..).map(|span: Finished| span.json()).collect();
            let count = spans.len() as u64;
            let sent = collector.send(spans);
            if let Err(error) = &sent {
                LOST.fetch_add(count, Ordering::Relaxed);
                if works {
                    tracing::warn!(
                        error,
                        "the collector of traces does not take spans; they are dropped until it does"
                    );
                }
            }
            works = sent.is_ok();
        }
        match told {
            Ok(Some(told)) => drop(told.try_send(())),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

/// Fills a batch until it is full, old, or somebody wants it sent; an error when nobody can send any more.
fn collect(waiting: &Receiver<Message>, batch: &mut Vec<Finished>) -> Result<Option<SyncSender<()>>, RecvTimeoutError> {
    let until = Instant::now() + PAUSE;
    while batch.len() < BATCH {
        match waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Message::Span(span)) => batch.push(*span),
            Ok(Message::Flush(told)) => return Ok(Some(told)),
            Err(RecvTimeoutError::Timeout) => break,
            Err(gone) => return Err(gone),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_collector_that_never_answers_slows_nobody_and_keeps_few_spans() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let variables = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone());
        let way = begin(Collector::from_environment(&variables).unwrap().unwrap()).unwrap();
        let (trace, now) = (TraceContext::start(), SystemTime::now());
        let began = Instant::now();
        let many = 50_000;
        for _ in 0..many {
            put(&way, Finished::new("steps".into(), Kind::Internal, (&trace, 1, None), (now, now)));
        }
        // 1 ms a span would already be felt; this takes some microseconds.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        // What is not lost waits: one full channel, and the batch that is on its way.
        let lost = LOST.load(Ordering::Relaxed);
        assert!(lost >= (many - WAITING - BATCH) as u64, "{lost}");
    }
}
