//! The parts of an attempt: timed for `/metrics`, and spans of the job's trace.
//!
//! A phase is a span of `tracing`, so that it follows the work to the thread of the model. What it tells
//! lies beside the span in the registry; a layer of ours reads it when the span ends.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use tracing::span::{EnteredSpan, Id};
use tracing::{Span, Subscriber};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanData, SpanRef};
use tracing_subscriber::{Layer, Registry};

use super::labels::Exemplar;
use super::metrics::Metrics;
use super::otlp::{self, Finished, Kind};
use crate::trace::TraceContext;

/// What is told of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct JobSpan {
    pub(crate) stage: &'static str,
    pub(crate) job: String,
    pub(crate) attempt: u64,
    /// The place of the attempt in its trace.
    pub(crate) trace: TraceContext,
    /// The span that caused it.
    pub(crate) parent: Option<u64>,
    /// Seconds that the message had waited.
    pub(crate) waited: f64,
    began: (Instant, SystemTime),
    outcome: Arc<OnceLock<&'static str>>,
}

/// What is told of one phase.
#[derive(Debug, Clone)]
struct Phase {
    name: &'static str,
    began: (Instant, SystemTime),
    span: u64,
    /// Time of the phases within it that have ended.
    within: Duration,
}

/// Begins a part of the attempt that is worked on here. It ends when the span is dropped. `name` is a word
/// of the code: each is a series of `shanshui_phase_seconds`.
pub fn phase(name: &'static str) -> Span {
    let span = tracing::info_span!("phase", name);
    let phase = Phase { name, began: now(), span: rand::random(), within: Duration::ZERO };
    beside(&span, phase);
    span
}

/// The same for work that does not await.
pub fn entered(name: &'static str) -> EnteredSpan {
    phase(name).entered()
}

impl JobSpan {
    pub(crate) fn new(of: (&'static str, &str, u64), trace: &TraceContext, parent: Option<u64>, waited: f64) -> Self {
        let (stage, job, attempt) = of;
        let (trace, job, outcome) = (trace.clone(), job.to_owned(), Arc::default());
        Self { stage, job, attempt, trace, parent, waited, began: now(), outcome }
    }

    /// The span in which the attempt is worked on.
    pub(crate) fn span(&self) -> Span {
        let Self { stage, job, attempt, trace, .. } = self;
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        let span = tracing::info_span!("job", %job, stage, attempt, %trace_id, %span_id);
        beside(&span, self.clone());
        span
    }

    /// How the attempt ended.
    pub(crate) fn end(&self, outcome: &'static str) {
        let _ = self.outcome.set(outcome);
    }

    /// What an exemplar says of the job.
    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        Some(Exemplar { trace_id: self.trace.trace_id(), job: self.job.clone() })
    }

    fn tell(&self) {
        if !otlp::is_on() {
            return;
        }
        let (began, ended) = (self.began.1, self.began.1 + self.began.0.elapsed());
        let outcome = self.outcome.get().copied().unwrap_or("lost");
        let span = |name: String, kind, place: (u64, Option<u64>), times| {
            Finished::new(name, kind, (&self.trace, place.0, place.1), times).with("shanshui.job", self.job.as_str())
        };
        let published = began - Duration::try_from_secs_f64(self.waited).unwrap_or_default();
        let wait =
            span(format!("wait for {}", self.stage), Kind::Internal, (rand::random(), self.parent), (published, began));
        otlp::export(wait.with("shanshui.stage", self.stage));
        let work = span(self.stage.to_owned(), Kind::Consumer, (self.trace.span(), self.parent), (began, ended));
        let work = work.with("shanshui.stage", self.stage).with("shanshui.attempt", self.attempt);
        let failed = matches!(outcome, "failed" | "broken" | "device-lost" | "hung" | "rejected" | "outage" | "lost");
        otlp::export(work.with("shanshui.outcome", outcome).failed(failed));
    }
}

/// Puts what is told beside its span, if a layer wants it.
fn beside<T: Send + Sync + 'static>(span: &Span, told: T) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(data) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span_data(id)) {
            data.extensions_mut().insert(told);
        }
    });
}

fn now() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

/// Reads what spans told.
#[derive(Debug)]
pub(super) struct Phases(pub(super) Arc<Metrics>);

impl Phases {
    /// Jobs and phases, whatever the log shows.
    pub(super) fn filter() -> FilterFn {
        filter_fn(|about| about.is_span() && about.target().starts_with(module_path!()))
    }

    /// Lines of the log name the job and not its part.
    pub(super) fn hidden() -> FilterFn {
        filter_fn(|about| !(about.is_span() && about.name() == "phase" && about.target() == module_path!()))
    }

    fn ended<S: for<'a> LookupSpan<'a>>(&self, span: &SpanRef<'_, S>, phase: &Phase) {
        let took = phase.began.0.elapsed();
        let mut above = span.scope().skip(1);
        let mut parent = None;
        let job = above.find_map(|span| {
            let mut told = span.extensions_mut();
            if let Some(outer) = told.get_mut::<Phase>().filter(|_| parent.is_none()) {
                outer.within += took;
                parent = Some(outer.span);
            }
            told.get_mut::<JobSpan>().cloned()
        });
        let Some(job) = job else { return };
        // Phases that run beside each other may take longer together than the one around them.
        let alone = took.saturating_sub(phase.within);
        self.0.passed(job.stage, phase.name, alone.as_secs_f64());
        if !otlp::is_on() {
            return;
        }
        let parent = parent.unwrap_or(job.trace.span());
        let times = (phase.began.1, phase.began.1 + took);
        let place = (&job.trace, phase.span, Some(parent));
        otlp::export(Finished::new(phase.name.to_owned(), Kind::Internal, place, times));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Phases {
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let (phase, job) = {
            let mut told = span.extensions_mut();
            (told.remove::<Phase>(), told.remove::<JobSpan>())
        };
        if let Some(phase) = phase {
            self.ended(&span, &phase);
        }
        if let Some(job) = job {
            job.tell();
        }
    }
}
