//! `shanshui top`: what the pipeline does, as it does it.

mod activity;
mod screen;

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use serde_json::json;
use shanshui_pipeline::Step;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::shutdown::Shutdown;
use tokio::time::{Instant, MissedTickBehavior};

use crate::exit::{Exit, Refusal};
use crate::print;
use crate::reach::Reach;
use activity::Activity;
use screen::Screen;

/// How long one look listens for jobs that run.
const LISTEN: Duration = Duration::from_millis(1200);

/// Watch the pipeline: queues, workers, running jobs, what ended
///
/// On a terminal it is drawn anew until Ctrl-C; elsewhere, and with --once, it is printed once. It needs
/// what the user of the gateway may do. NO_COLOR is obeyed.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopArgs {
    /// Seconds between two looks at the queues
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Print it once
    #[arg(long)]
    once: bool,
    /// Print one JSON object a look, on a line of its own; with --once one
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Watches until Ctrl-C.
pub(crate) async fn run(args: TopArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    // The terminal is given back however the process is asked to end, and whatever it waits for.
    let shutdown = Shutdown::on_signals(Duration::ZERO)?;
    tokio::select! {
        ended = watch(args, steps) => ended,
        () = shutdown.drain.cancelled() => Ok(Exit::Done),
    }
}

async fn watch(args: TopArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let queue = args.reach.queue(steps).await?;
    let mut activity = Activity::begin(&queue).await?;
    let mut told = queue.told().await?;
    let live = console::Term::stdout().is_term() && !args.once && !args.json;
    if !live && (args.once || !args.json) {
        let _ = tokio::time::timeout(LISTEN, activity.listen(&mut told)).await;
        look(&args, &queue, &activity, None).await?;
        return Ok(Exit::Done);
    }
    let mut screen = live.then(Screen::open);
    let mut turn = tokio::time::interval_at(Instant::now(), Duration::from_secs(args.every));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turn.tick() => look(&args, &queue, &activity, screen.as_mut()).await?,
            event = told.next() => match event {
                Some(event) => activity.hear(&event),
                None => return Err(anyhow::anyhow!("the subscription to events ended").into()),
            },
        }
    }
}

async fn look(args: &TopArgs, queue: &Queue, activity: &Activity, screen: Option<&mut Screen>) -> anyhow::Result<()> {
    let levels = queue.levels().await?;
    if args.json {
        print::line(json!({ "levels": levels, "activity": activity.json() }));
        return Ok(());
    }
    let (rows, columns) = match &screen {
        Some(screen) => screen.size(),
        None => (usize::MAX, 120),
    };
    let lines = screen::lines(&levels, activity, (rows, columns), screen.is_some());
    match screen {
        Some(screen) => screen.draw(&lines),
        None => lines.iter().for_each(print::line),
    }
    Ok(())
}
