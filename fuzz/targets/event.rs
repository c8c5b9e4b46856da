//! Events and advisories as they lie on their streams, and the trace headers that travel with jobs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::reconcile::advisory::Advisory;
use shanshui_pipeline::trace::TraceContext;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(data)
        && let Ok(job) = JobId::parse("subject", &envelope.subject)
    {
        let again = envelope.data.envelope(&job, &envelope.source).to_string();
        let again: Envelope = serde_json::from_str(&again).unwrap_or_else(|error| panic!("{error}: {again}"));
        assert_eq!(again.data.kind(), envelope.data.kind());
        assert_eq!(again.data.identity(), envelope.data.identity());
    }
    if let Err(error) = Advisory::parse(data) {
        assert!(!error.to_string().is_empty());
    }
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(2, '\n');
    if let Some(trace) = TraceContext::parse(lines.next().unwrap_or_default(), lines.next()) {
        let child = trace.child();
        let written = child.to_string();
        assert!(!written.contains(['\r', '\n']), "{written:?}");
        assert!(child.state.as_deref().is_none_or(|state| !state.contains(['\r', '\n'])));
        assert_eq!(TraceContext::parse(&written, None).map(|again| again.trace_id()), Some(trace.trace_id()));
    }
});
