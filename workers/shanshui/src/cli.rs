//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{audit, dead, draw, jobs, models, reconcile, say, streams, up, work};
use crate::exit;

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
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: queue, object store and both workers
    #[command(after_long_help = exit::HELP)]
    Up(Box<up::UpArgs>),
    /// Run one worker that turns speech into text
    #[command(after_long_help = exit::HELP)]
    Transcribe(Box<work::TranscribeArgs>),
    /// Run one worker that turns text into pictures
    #[command(after_long_help = exit::HELP)]
    Paint(Box<work::PaintArgs>),
    /// Have a recording transcribed and painted
    #[command(after_long_help = exit::HELP)]
    Say(Box<say::SayArgs>),
    /// Have a text painted
    #[command(after_long_help = exit::HELP)]
    Draw(Box<draw::DrawArgs>),
    /// Look at a job, or take it back
    Jobs(Box<jobs::JobsArgs>),
    /// Jobs that failed for good: look at them, queue them again
    Dead(Box<dead::DeadArgs>),
    /// Count all jobs, and name each one that is in doubt
    #[command(after_long_help = exit::HELP)]
    Audit(Box<audit::AuditArgs>),
    /// End the jobs that JetStream gave up on, and audit again and again
    #[command(after_long_help = exit::HELP)]
    Reconcile(Box<reconcile::ReconcileArgs>),
    /// Make or check the streams, consumers and the bucket
    Streams(Box<streams::StreamsArgs>),
    /// List, fetch and verify models
    Models(Box<models::ModelsArgs>),
}

impl Command {
    /// Whether the addresses of a running `up` are of use.
    pub(crate) fn wants_running_instance(&self) -> bool {
        !matches!(self, Self::Up(_) | Self::Models(_))
    }
}
