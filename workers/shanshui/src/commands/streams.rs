//! `shanshui streams`: the one administrative step.

use clap::{Args, Subcommand};
use shanshui_common::queue::streams::{STAGES, StreamSettings};
use shanshui_common::store::Store;

use crate::exit::{Exit, OrExit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Make or check the streams, consumers and the bucket
#[derive(Debug, Clone, Args)]
pub(crate) struct StreamsArgs {
    #[command(subcommand)]
    command: StreamsCommand,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Subcommand)]
enum StreamsCommand {
    /// Make what is missing, change what differs, say what was done; safe to run again
    Apply(StreamSettings),
    /// Say what a worker would miss; exit code 1 if anything
    Check,
}

/// Does what was asked.
pub(crate) async fn run(args: StreamsArgs) -> Result<Exit, Refusal> {
    let queue = args.reach.queue().await?;
    match &args.command {
        StreamsCommand::Apply(settings) => {
            args.reach.s3.check().or_exit(Exit::Usage)?;
            let said = queue.apply(settings).await?;
            said.iter().for_each(print::line);
            let made = Store::open(&args.reach.s3).await?.make_bucket().await.or_exit(Exit::Unreachable)?;
            let bucket = &args.reach.s3.bucket;
            if made {
                print::line(format_args!("bucket {bucket}: made"));
            }
            if said.is_empty() && !made {
                print::line("everything is there");
            }
        }
        StreamsCommand::Check => {
            for (_, _, stage) in STAGES {
                queue.check(stage).await?;
            }
            args.reach.store().await?;
            print::line("everything is there");
        }
    }
    Ok(Exit::Done)
}
