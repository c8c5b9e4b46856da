//! The catalogue of faults: `rNN_` is row NN of docs/reliability.md, where its pass condition is.

mod clock;
mod disk;
mod ending;
mod killed;
mod queue_away;
mod store_away;
mod streams;
mod twice;
mod upgrade;

use std::process::Command;

use async_nats::jetstream;
use futures::StreamExt;
use serde_json::json;

use shanshui_tests::{Job, PATIENCE, Pages, Process, Stack, whisper};

/// A worker and its pages.
struct Worker {
    process: Process,
    pages: Pages,
}

impl Worker {
    /// A worker with the smallest models that takes jobs already.
    fn start(stack: &Stack, stage: &str, name: &str) -> Self {
        let worker = Self::spawn(name, small(stack, stage, name));
        worker.process.says("taking jobs", PATIENCE);
        worker
    }

    /// Whatever `command` starts.
    fn spawn(name: &str, mut command: Command) -> Self {
        let pages = Pages::reserve();
        command.env("SHANSHUI_HTTP", pages.address());
        Self { process: Process::spawn(name, &mut command), pages }
    }
}

/// The command line of a worker with the smallest models.
fn small(stack: &Stack, stage: &str, name: &str) -> Command {
    let mut command = stack.worker_command(stage, name);
    if stage == "transcribe" {
        command.env("SHANSHUI_WHISPER", whisper("tiny.en"));
    }
    command
}

/// One small picture after this many steps, some milliseconds each.
fn painting(job: &Job, steps: u32) -> String {
    let picture = json!({ "width": 64, "height": 64, "steps": steps, "count": 1 });
    json!({ "id": job.id, "text": "a boat", "picture": picture }).to_string()
}

/// One picture that takes a second or more on any machine.
fn lasting(job: &Job) -> String {
    let picture = json!({ "width": 384, "height": 384, "steps": 60, "count": 1 });
    json!({ "id": job.id, "text": "a boat", "picture": picture }).to_string()
}

/// JetStream as any client sees it.
async fn connect(stack: &Stack) -> jetstream::Context {
    jetstream::new(async_nats::connect(stack.url()).await.expect("the queue answers"))
}

/// How often all jobs together told events of one kind.
async fn told(queue: &jetstream::Context, kind: &str) -> usize {
    let events = queue.get_stream("EVENTS").await.expect("a stream of events");
    let subjects = events.info_with_subjects(format!("shanshui.events.*.{kind}")).await.expect("the subjects");
    subjects.map(|subject| subject.expect("a subject").1).fold(0, async |a, b| a + b).await
}
