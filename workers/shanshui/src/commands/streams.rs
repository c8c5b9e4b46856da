//! `shanshui streams`: the one administrative step.

use clap::{Args, Subcommand};
use shanshui_intake::intake_name;
use shanshui_pipeline::Step;
use shanshui_pipeline::config::{PoolName, StreamSettings};
use shanshui_pipeline::store::Store;

use crate::exit::{Exit, OrExit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Create, change or check streams, consumers and the bucket
#[derive(Debug, Clone, Args)]
pub(crate) struct StreamsArgs {
    #[command(subcommand)]
    command: StreamsCommand,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Subcommand)]
enum StreamsCommand {
    /// Create what is missing, change our own fields of what differs, print every change; safe to
    /// run again
    Apply {
        #[command(flatten)]
        settings: StreamSettings,
        /// A pool beside the default one, as text/sdxl; may be repeated. Pools that exist already stay
        #[arg(long = "pool", env = "SHANSHUI_POOLS", value_name = "QUEUE/POOL", value_delimiter = ',')]
        pools: Vec<PoolName>,
        /// An intake beside the default one; may be repeated. Intakes that exist already stay
        #[arg(long = "intake", env = "SHANSHUI_INTAKES", value_name = "NAME", value_delimiter = ',', value_parser = intake_name)]
        intakes: Vec<String>,
        /// Change nothing; print what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Check streams, consumers and the bucket; exit code 1 if something is wrong
    Check,
}

/// Does what was asked.
pub(crate) async fn run(args: StreamsArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let queue = args.reach.queue(steps).await?;
    match &args.command {
        StreamsCommand::Apply { settings, pools, intakes, dry_run } => {
            let (pools, intakes) = (pools.clone(), intakes.clone());
            let settings = &StreamSettings { pools, intakes, ..settings.clone() };
            args.reach.s3.check().or_exit(Exit::Usage)?;
            let said = queue.apply(settings, *dry_run).await?;
            said.iter().for_each(print::line);
            let store = Store::open(&args.reach.s3).await?;
            let made = !dry_run && store.make_bucket().await.or_exit(Exit::Unreachable)?;
            let bucket = &args.reach.s3.bucket;
            if made {
                print::line(format_args!("bucket {bucket}: created"));
            }
            if said.is_empty() && !made {
                print::line("everything is there");
            } else if *dry_run {
                print::note("shanshui: nothing was changed (--dry-run)");
            }
        }
        StreamsCommand::Check => {
            let wrong = queue.examine().await?;
            wrong.iter().for_each(print::line);
            args.reach.store().await?;
            if !wrong.is_empty() {
                print::note(
                    "shanshui: run `shanshui streams apply`; it creates what is missing and resets our own fields, and leaves those of an operator",
                );
                return Ok(Exit::Failed);
            }
            print::line("everything is there");
        }
    }
    Ok(Exit::Done)
}
