//! `shanshui jobs`: look at a job, take it back.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shanshui_pipeline::Step;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Queue;

use crate::exit::{Exit, OrExit, Refusal};
use crate::job::display::describe;
use crate::job::story::Story;
use crate::print;
use crate::reach::Reach;

/// Look at a job, or take it back
#[derive(Debug, Clone, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Subcommand)]
enum JobsCommand {
    /// Print what has happened to a job; exit code 1 if nothing has
    Show {
        /// Name of the job
        job: String,
        /// Print one JSON object with the state and all events
        #[arg(long)]
        json: bool,
    },
    /// Take a job back: queued work is dropped, running work stops within a step
    Cancel {
        /// Name of the job
        job: String,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: JobsArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let (JobsCommand::Show { job, .. } | JobsCommand::Cancel { job }) = &args.command;
    let id = JobId::parse("job", job).or_exit(Exit::Usage)?;
    let queue = args.reach.queue(steps).await?;
    let story = Story { events: queue.history(&id).await?, ..Story::default() };
    match args.command {
        JobsCommand::Show { json, .. } => Ok(show(&id, &story, json)),
        JobsCommand::Cancel { .. } => cancel(&queue, &id, &story).await,
    }
}

fn show(id: &JobId, story: &Story, as_json: bool) -> Exit {
    if story.events.is_empty() {
        print::note(format_args!("shanshui: no events of job {id}: it is unknown, or no worker has seen it yet"));
        return Exit::Failed;
    }
    if as_json {
        print::line(object(id, story));
        return Exit::Done;
    }
    for envelope in &story.events {
        print::line(format_args!("{}  {}", envelope.time, describe(&envelope.data)));
    }
    for stage in story.stages() {
        print::line(format_args!("{}: waited {:.2} s, worked {:.2} s", stage.stage, stage.wait, stage.work));
    }
    print::line(format_args!("job {id}: {}", story.state()));
    Exit::Done
}

fn object(id: &JobId, story: &Story) -> Value {
    let events = story.events.iter();
    let events: Vec<Value> =
        events.map(|event| json!({ "time": event.time, "source": event.source, "data": event.data })).collect();
    json!({ "job": id.as_str(), "state": story.state(), "reason": story.reason(), "events": events })
}

async fn cancel(queue: &Queue, id: &JobId, story: &Story) -> Result<Exit, Refusal> {
    let ended = story.events.last().is_some_and(|envelope| envelope.data.is_final());
    if ended {
        print::note(format_args!("shanshui: job {id} has ended already: {}", story.state()));
        return Ok(Exit::Failed);
    }
    queue.cancel(id).await?;
    print::line(format_args!("job {id}: cancel is recorded"));
    Ok(Exit::Done)
}
