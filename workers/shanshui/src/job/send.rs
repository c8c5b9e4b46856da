//! Submits a job and, unless told otherwise, sees it through.

use std::path::PathBuf;

use clap::Args;
use shanshui_client::{Story, SubmitError};
use shanshui_pipeline::Job;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::telemetry;
use time::OffsetDateTime;

use super::report::{Report, Saved};
use super::{save, watch};
use crate::exit::{Exit, OrExit, Refusal};
use crate::print;
use crate::reach::Reach;

/// What happens after the job is on the queue.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
pub(crate) struct WaitArgs {
    /// Only submit: print the job's name and leave
    #[arg(long, conflicts_with_all = ["timeout", "output", "out"])]
    no_wait: bool,
    /// Seconds to wait for the result; the job itself goes on (see --deadline) [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    timeout: Option<u64>,
    /// Folder for the pictures, named after the job
    #[arg(long, env = "SHANSHUI_OUT", value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// File for the picture; further ones get -1, -2 … before the extension
    #[arg(long, short, value_name = "FILE", conflicts_with = "out")]
    output: Option<PathBuf>,
    /// Print one JSON object: job, state, transcript, language, stages with their times, pictures
    /// with path, sha256 and seed
    #[arg(long)]
    json: bool,
}

/// Submits `job`, which has its name, and waits as `wait` says.
pub(crate) async fn send<J: Job>(
    (reach, queue): (&Reach, &Queue),
    lane: &str,
    mut job: J,
    wait: &WaitArgs,
) -> Result<Exit, Refusal> {
    start_traces();
    let submitted = Some(OffsetDateTime::now_utc());
    let receipt = shanshui_client::submit(queue, lane, &mut job).await.map_err(refusal)?;
    let id = shanshui_client::name(&mut job);
    if receipt.duplicate {
        print::note(format_args!("job {id} was submitted before; its events follow"));
    }
    // The clock of a first submission is not known here.
    let submitted = submitted.filter(|_| !receipt.duplicate);
    let mut story = Story { submitted, ..Story::default() };
    if wait.no_wait {
        Report { job: &id, story: &story, state: "queued", saved: &Saved::default() }.print_submitted(wait.json);
        return Ok(Exit::Done);
    }
    print::note(format_args!("job {id} is queued"));
    let step = queue.steps().iter().find(|step| step.queue == J::QUEUE);
    let queued = step.filter(|_| !receipt.duplicate).map(|step| (step, receipt.sequence));
    let exit = watch::watch(queue, (&id, queued), wait.timeout, &mut story).await?;
    let saved = fetch(reach, &id, &story, wait).await?;
    let state = match exit {
        Exit::TimedOut => "timeout",
        Exit::Canceled => "canceled",
        _ => story.state(),
    };
    Report { job: &id, story: &story, state, saved: &saved }.print(wait.json);
    explain(exit, &id, &story);
    Ok(exit)
}

/// Variables that are meant for other programs are no reason to send nothing.
pub(crate) fn start_traces() {
    match telemetry::start_traces() {
        Ok(ignored) => ignored.iter().for_each(|why| print::note(format_args!("shanshui: ignored: {why}"))),
        Err(error) => print::note(format_args!("shanshui: traces are off: {error:#}")),
    }
}

fn refusal(error: SubmitError) -> Refusal {
    let (exit, error) = match error {
        SubmitError::NameUsed(error) => return Refusal { exit: Exit::Usage, error: error.into() },
        SubmitError::Field(error) => (Exit::Usage, error.into()),
        SubmitError::Away(error) => (Exit::Unreachable, error),
    };
    Refusal { exit, error: error.context("the job is not accepted") }
}

/// Saves what a job made that is done: its pictures, and what a later stage made of them.
async fn fetch(reach: &Reach, id: &JobId, story: &Story, wait: &WaitArgs) -> Result<Saved, Refusal> {
    let (mut saved, pictures) = (Saved::default(), story.pictures());
    if Exit::of(story) != Exit::Done || pictures.is_empty() {
        return Ok(saved);
    }
    let store = reach.store().await?;
    for picture in pictures {
        let path = save::path(&wait.out, wait.output.as_deref(), id, &picture);
        save::save(&store, (&picture.key, &picture.sha256), &path).await.or_exit(Exit::Failed)?;
        saved.pictures.push((picture, path));
    }
    for object in save::untold(&store, story).await.or_exit(Exit::Failed)? {
        let path = save::path_of_object(&wait.out, id, &object);
        save::save(&store, (&object.key, &object.sha256), &path).await.or_exit(Exit::Failed)?;
        saved.files.push((object, path));
    }
    Ok(saved)
}

/// The reason, on standard error, for every code that is not 0.
fn explain(exit: Exit, id: &JobId, story: &Story) {
    let reason = story.reason().unwrap_or_default();
    match exit {
        Exit::Failed => print::note(format_args!("shanshui: job {id} failed: {reason}; see `shanshui dead list`")),
        Exit::NoSpeech => print::note(format_args!("shanshui: job {id}: no speech: {reason}")),
        Exit::Canceled => {
            print::note(format_args!("shanshui: job {id} is canceled; a worker drops it when its turn comes"))
        }
        Exit::TimedOut => print::note(format_args!(
            "shanshui: the time to wait is over, job {id} goes on; see `shanshui jobs show {id}`"
        )),
        _ => {}
    }
}
