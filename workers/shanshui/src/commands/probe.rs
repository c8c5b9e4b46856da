//! `shanshui probe`: speaks a sentence and waits for its picture, for monitoring.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use shanshui_client::Story;
use shanshui_pipeline::Step;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId, TextJob};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::telemetry;
use time::OffsetDateTime;

use crate::exit::{Exit, OrExit, Refusal};
use crate::print;
use crate::reach::Reach;

/// "A cat sitting under a yellow star.", 2 seconds, by a synthetic voice (Piper's en_US-joe-medium, CC0).
const SPOKEN: &[u8] = include_bytes!("probe/cat.opus");
/// Words of it that must be understood.
const UNDERSTOOD: &str = "cat";

/// Do one small job from end to end, and end with 0 if it is done in time, else with 1
///
/// For monitoring: it speaks a sentence of two seconds into the queue, and one picture of a single
/// step must come out. Its job has one attempt, and is worth nothing after the deadline.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProbeArgs {
    /// Seconds within which the job must be done
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    deadline: u64,
    /// Only paint a text, where no worker hears
    #[arg(long)]
    text: bool,
    /// Lane of the queue
    #[arg(long, env = "SHANSHUI_LANE", default_value = "default")]
    lane: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Does the job.
pub(crate) async fn run(args: ProbeArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    telemetry::start_traces().or_exit(Exit::Usage)?;
    let submitted = OffsetDateTime::now_utc();
    let mut story = Story { submitted: Some(submitted), ..Story::default() };
    let time = Duration::from_secs(args.deadline);
    let done = tokio::time::timeout(time, speak(&args, steps, &mut story)).await;
    let wrong = match done {
        Err(_) => Some(format!("not done after {} s; so far: {}", args.deadline, story.state())),
        Ok(Err(refusal)) if refusal.exit == Exit::Usage => return Err(refusal),
        Ok(Err(refusal)) => Some(shanshui_pipeline::causes(&refusal.error)),
        Ok(Ok(())) => fault(&args, &story),
    };
    let seconds = (OffsetDateTime::now_utc() - submitted).as_seconds_f64();
    report(&args, &story, wrong.as_deref(), seconds);
    Ok(if wrong.is_none() { Exit::Done } else { Exit::Failed })
}

async fn speak(args: &ProbeArgs, steps: &'static [Step], story: &mut Story) -> Result<(), Refusal> {
    let queue = args.reach.queue(steps).await?;
    let id = JobId::parse("id", &format!("probe-{}", JobId::random())).or_exit(Exit::Usage)?;
    submit(args, &queue, &id).await.map_err(|error| Refusal { exit: Exit::Failed, error: error.into() })?;
    let mut events = queue.follow(&id).await?;
    while let Some(envelope) = events.next().await {
        story.events.push(envelope?);
    }
    Ok(())
}

async fn submit(args: &ProbeArgs, queue: &Queue, id: &JobId) -> Result<(), shanshui_client::SubmitError> {
    let mut spoken = AudioJob::new(AudioSource::Inline(Bytes::from_static(SPOKEN)));
    let meta = &mut spoken.meta;
    meta.id = Some(id.clone());
    meta.attempts = Some(1);
    meta.deadline = Some(OffsetDateTime::now_utc() + Duration::from_secs(args.deadline));
    meta.labels.insert("probe".into(), "true".into());
    (meta.picture.steps, meta.picture.count) = (Some(1), Some(1));
    if args.text {
        let mut written = TextJob { text: "a cat under a yellow star".into(), meta: meta.clone() };
        return shanshui_client::submit(queue, &args.lane, &mut written).await.map(drop);
    }
    shanshui_client::submit(queue, &args.lane, &mut spoken).await.map(drop)
}

/// What is wrong with a job that has ended.
fn fault(args: &ProbeArgs, story: &Story) -> Option<String> {
    let state = story.state();
    if state != "done" {
        return Some(format!("{state}: {}", story.reason().unwrap_or_default()));
    }
    let heard = story.transcript().map(|(text, _)| text.to_lowercase());
    match heard {
        Some(text) if !text.contains(UNDERSTOOD) => Some(format!("a cat was spoken of, and this was heard: {text}")),
        None if !args.text => Some("done without a transcript".into()),
        _ => None,
    }
}

fn report(args: &ProbeArgs, story: &Story, wrong: Option<&str>, seconds: f64) {
    let stages = story.stages();
    if args.json {
        let stages: Vec<_> =
            stages.iter().map(|it| json!({ "stage": it.stage, "wait": it.wait, "work": it.work })).collect();
        let job = story.events.first().map(|envelope| envelope.subject.as_str());
        print::line(json!({ "ok": wrong.is_none(), "job": job, "seconds": seconds, "error": wrong, "stages": stages }));
        return;
    }
    let times = stages.iter().map(|it| format!("; {} waited {:.2} s, worked {:.2} s", it.stage, it.wait, it.work));
    let said = wrong.map_or("ok".to_owned(), |why| format!("failed: {why}"));
    print::line(format_args!("{said}; {seconds:.2} s{}", times.collect::<String>()));
}
