//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{audit, dead, draw, jobs, models, reconcile, say, streams, up};
use crate::data::DataDir;
use crate::exit::{self, Exit, OrExit, Refusal};
use crate::stages::StageCommand;

/// A spoken sentence becomes a picture: speech to text to picture, over NATS and S3.
#[derive(Debug, Parser)]
#[command(name = "shanshui", version, after_long_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// Settings file; ./shanshui.toml is read when it is there and no other is named
    #[arg(long, env = "SHANSHUI_CONFIG", value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Data directory of `up` and of pulled models [default: $XDG_DATA_HOME/shanshui or
    /// ~/.local/share/shanshui]
    #[arg(long, env = "SHANSHUI_DATA", value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Context of the `nats` command line that says how to reach NATS; NATS_CONTEXT names one, too
    #[arg(long, env = "SHANSHUI_NATS_CONTEXT", value_name = "NAME", global = true)]
    pub(crate) nats_context: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: queue, object store and a worker of every stage
    #[command(after_long_help = exit::HELP)]
    Up(Box<up::UpArgs>),
    /// A worker of one stage.
    #[command(flatten)]
    Stage(StageCommand),
    /// Transcribe a recording and paint it
    #[command(after_long_help = exit::HELP)]
    Say(Box<say::SayArgs>),
    /// Paint a text
    #[command(after_long_help = exit::HELP)]
    Draw(Box<draw::DrawArgs>),
    /// Show a job, or cancel it
    Jobs(Box<jobs::JobsArgs>),
    /// Inspect and replay dead letters
    Dead(Box<dead::DeadArgs>),
    /// Count all jobs, and list those whose state is inconsistent
    #[command(after_long_help = exit::HELP)]
    Audit(Box<audit::AuditArgs>),
    /// Rescue the messages that JetStream gave up on, and audit again and again
    #[command(after_long_help = exit::HELP)]
    Reconcile(Box<reconcile::ReconcileArgs>),
    /// Create, change or check streams, consumers and the bucket
    Streams(Box<streams::StreamsArgs>),
    /// List, fetch and verify models
    Models(Box<models::ModelsArgs>),
}

impl Cli {
    /// Does what the command line asks.
    pub(crate) async fn run(self) -> Result<Exit, Refusal> {
        let data = DataDir::at(self.data.as_deref()).or_exit(Exit::Usage)?;
        match self.command {
            Command::Up(args) => up::run(*args, data).await,
            Command::Stage(stage) => stage.run(data).await,
            Command::Say(args) => say::run(*args).await,
            Command::Draw(args) => draw::run(*args).await,
            Command::Jobs(args) => jobs::run(*args).await,
            Command::Audit(args) => audit::run(*args).await,
            Command::Reconcile(args) => reconcile::run(*args).await,
            Command::Dead(args) => dead::run(*args).await,
            Command::Streams(args) => streams::run(*args).await,
            Command::Models(args) => models::run(*args, data).await,
        }
    }
}

impl Command {
    /// Whether the addresses of a running `up` are of use.
    pub(crate) fn wants_running_instance(&self) -> bool {
        !matches!(self, Self::Up(_) | Self::Models(_))
    }
}
