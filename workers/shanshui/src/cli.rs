//! The command line.

use std::path::PathBuf;

use clap::{ArgMatches, Parser, Subcommand};

use crate::commands::{
    audit, dead, draw, erase, gateway, gpus, intake, jobs, models, plan, probe, reconcile, say, schema, streams, top,
    topology, up,
};
use crate::data::DataDir;
use crate::exit::{self, Exit, Refusal};
use crate::program::Program;

/// Commands to which the addresses of a running `up` are of no use.
pub(crate) const ALONE: [&str; 4] = ["up", "models", "schema", "gpus"];

/// A spoken sentence becomes a picture: speech to text to picture, over NATS and S3.
#[derive(Debug, Parser)]
#[command(name = "shanshui", version, after_long_help = exit::HELP, max_term_width = 100, next_display_order = 100)]
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

/// What the program can do besides working as one of its stages.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: queue, object store, a worker of every stage, and the page
    #[command(after_long_help = exit::HELP, display_order = 0)]
    Up(Box<up::UpArgs>),
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
    /// Erase what is kept of jobs: recording, transcript, pictures, events, dead letters
    #[command(after_long_help = exit::HELP)]
    Erase(Box<erase::EraseArgs>),
    /// Count all jobs, and list those whose state is inconsistent
    #[command(after_long_help = exit::HELP)]
    Audit(Box<audit::AuditArgs>),
    /// Rescue the messages that JetStream gave up on, and audit again and again
    #[command(after_long_help = exit::HELP)]
    Reconcile(Box<reconcile::ReconcileArgs>),
    /// Serve the page to speak to, and jobs over HTTP
    #[command(after_long_help = exit::HELP)]
    Gateway(Box<gateway::GatewayArgs>),
    /// Take recordings that are dropped into a bucket, and bring the results back there
    #[command(after_long_help = exit::HELP)]
    Intake(Box<intake::IntakeArgs>),
    // These four say more in their own words.
    #[command(after_long_help = exit::HELP)]
    Topology(Box<topology::TopologyArgs>),
    #[command(after_long_help = exit::HELP)]
    Top(Box<top::TopArgs>),
    #[command(after_long_help = exit::HELP)]
    Plan(Box<plan::PlanArgs>),
    #[command(after_long_help = exit::HELP)]
    Probe(Box<probe::ProbeArgs>),
    /// Create, change or check streams, consumers and the bucket
    Streams(Box<streams::StreamsArgs>),
    /// Print JSON Schemas of jobs, events and receipts, or AsyncAPI of the subjects
    Schema(schema::SchemaArgs),
    /// List the GPUs that workers on this machine can compute on
    Gpus(gpus::GpusArgs),
    /// List, fetch and verify models
    Models(Box<models::ModelsArgs>),
}

impl Command {
    /// Does what is asked; `matches` is the whole command line.
    pub(crate) async fn run(self, program: &Program, matches: &ArgMatches, data: DataDir) -> Result<Exit, Refusal> {
        let steps = program.steps();
        match self {
            Self::Up(args) => {
                let own = matches.subcommand_matches("up").unwrap_or(matches);
                let seats: Result<Vec<_>, _> = program.stages().iter().map(|stage| stage.seat(own)).collect();
                up::run(*args, steps, seats?, data).await
            }
            Self::Say(args) => say::run(*args, steps).await,
            Self::Draw(args) => draw::run(*args, steps).await,
            Self::Jobs(args) => jobs::run(*args, steps).await,
            Self::Audit(args) => audit::run(*args, steps).await,
            Self::Reconcile(args) => reconcile::run(*args, steps).await,
            Self::Gateway(args) => gateway::run(*args, steps).await,
            Self::Intake(args) => intake::run(*args, steps).await,
            Self::Erase(args) => erase::run(*args, steps).await,
            Self::Dead(args) => dead::run(*args, steps).await,
            Self::Topology(args) => topology::run(*args, steps).await,
            Self::Top(args) => top::run(*args, steps).await,
            Self::Plan(args) => plan::run(*args, steps).await,
            Self::Probe(args) => probe::run(*args, steps).await,
            Self::Streams(args) => streams::run(*args, steps).await,
            Self::Schema(args) => Ok(schema::run(&args)),
            Self::Gpus(args) => gpus::run(&args),
            Self::Models(args) => models::run(*args, program.layouts(), data).await,
        }
    }
}
