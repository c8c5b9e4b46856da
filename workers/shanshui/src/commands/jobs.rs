//! `shanshui jobs`: show a job, cancel it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shanshui_client::Story;
use shanshui_pipeline::Step;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::{Event, reconcile};

use crate::exit::{Exit, OrExit, Refusal};
use crate::job::display::describe;
use crate::print;
use crate::reach::Reach;

/// Show a job, or cancel it
#[derive(Debug, Clone, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Subcommand)]
enum JobsCommand {
    /// Print the events of a job and its state; exit code 1 if it has none
    Show {
        /// Name of the job
        job: String,
        /// Print one JSON object with the state and all events
        #[arg(long)]
        json: bool,
    },
    /// Cancel a job: a running one stops within a step, a waiting one when its turn comes
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
        JobsCommand::Show { json, .. } => Ok(show(&id, &story, waiting(&queue, &id, &story).await, json)),
        JobsCommand::Cancel { .. } => cancel(&queue, &id, &story).await,
    }
}

/// Where the job waits, unless a worker has it, it has ended, or we may not read the queues.
async fn waiting(queue: &Queue, id: &JobId, story: &Story) -> Option<Event> {
    let last = story.events.last().map(|envelope| &envelope.data);
    let may_wait = last.is_none_or(|event| matches!(event, Event::Finished { .. }) || story.state() == "queued");
    let wait = if may_wait { reconcile::waiting(queue, id).await.ok().flatten() } else { None };
    Some(wait?.event(""))
}

fn show(id: &JobId, story: &Story, waiting: Option<Event>, as_json: bool) -> Exit {
    if story.events.is_empty() && waiting.is_none() {
        print::note(format_args!(
            "shanshui: job {id} has no events: its name is wrong, or it waits in a queue and no worker has taken it yet"
        ));
        return Exit::Failed;
    }
    if as_json {
        print::line(object(id, story, waiting.as_ref()));
        return Exit::Done;
    }
    for envelope in &story.events {
        print::line(format_args!("{}  {}", envelope.time, describe(&envelope.data)));
    }
    waiting.iter().for_each(|event| print::line(describe(event)));
    for stage in story.stages() {
        print::line(format_args!("{}: waited {:.2} s, worked {:.2} s", stage.stage, stage.wait, stage.work));
    }
    print::line(format_args!("job {id}: {}", story.state()));
    Exit::Done
}

fn object(id: &JobId, story: &Story, waiting: Option<&Event>) -> Value {
    let events = story.events.iter();
    let events: Vec<Value> =
        events.map(|event| json!({ "time": event.time, "source": event.source, "data": event.data })).collect();
    let (state, reason) = (story.state(), story.reason());
    json!({ "job": id.as_str(), "state": state, "reason": reason, "waiting": waiting, "events": events })
}

async fn cancel(queue: &Queue, id: &JobId, story: &Story) -> Result<Exit, Refusal> {
    let ended = story.events.last().is_some_and(|envelope| envelope.data.is_final());
    if ended {
        print::note(format_args!("shanshui: job {id} has ended already: {}", story.state()));
        return Ok(Exit::Failed);
    }
    queue.cancel(id).await?;
    print::line(format_args!(
        "job {id} is canceled: a running job stops within a step, a waiting one when its turn comes"
    ));
    Ok(Exit::Done)
}
