//! The pipeline, declared once.

/// One step of the pipeline: a stage and the queue it takes its jobs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Name of the stage: its consumer, its events, its metrics.
    pub stage: &'static str,
    /// The queue: second token of the subject, and in upper case the stream.
    pub queue: &'static str,
}

/// The steps that ship, in the order in which a job takes them. Streams, consumers, workers,
/// reconciler, audit, `up` and the tests all read this list.
pub const STEPS: &[Step] = &[Step { stage: "transcribe", queue: "audio" }, Step { stage: "paint", queue: "text" }];

impl Step {
    /// Name of the stream, without a prefix.
    pub fn stream(&self) -> String {
        self.queue.to_ascii_uppercase()
    }

    /// The step that a name in a job's `until` means: a stage, or what it makes.
    pub fn named<'a>(steps: &'a [Step], name: &str) -> Option<&'a Step> {
        let stage = match name {
            "transcript" => "transcribe",
            "picture" => "paint",
            other => other,
        };
        steps.iter().find(|step| step.stage == stage)
    }
}
