//! `shanshui draw`: a text becomes pictures.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use shanshui_pipeline::Step;
use shanshui_pipeline::job::{MAX_TEXT, TextJob};

use crate::exit::{Exit, OrExit, Refusal};
use crate::job::send::{self, WaitArgs};
use crate::job::spec::JobArgs;
use crate::reach::Reach;

/// Paint a text
#[derive(Debug, Clone, Args)]
pub(crate) struct DrawArgs {
    /// What to paint; - reads it from standard input
    text: String,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Submits the text and sees it through.
pub(crate) async fn run(args: DrawArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let text = match args.text.as_str() {
        "-" => standard_input().or_exit(Exit::Usage)?,
        text => text.to_owned(),
    };
    let job: TextJob = args.job.job(steps, |fields| fields.put("text", Some(text.trim()))).or_exit(Exit::Usage)?;
    let queue = args.reach.queue(steps).await?;
    send::send((&args.reach, &queue), &args.job.lane, job, &args.wait).await
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    // A character has at most 4 bytes; whatever comes after is refused as too long anyway.
    let limit = (4 * MAX_TEXT + 16) as u64;
    std::io::stdin().lock().take(limit).read_to_string(&mut text).context("text: cannot read standard input")?;
    Ok(text)
}
