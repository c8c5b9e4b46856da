//! The commands, one module each.

pub(crate) mod audit;
pub(crate) mod dead;
pub(crate) mod draw;
pub(crate) mod jobs;
pub(crate) mod models;
pub(crate) mod reconcile;
pub(crate) mod say;
pub(crate) mod streams;
pub(crate) mod up;
pub(crate) mod work;

use crate::cli::{Cli, Command};
use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};

/// Does what the command line asks.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Refusal> {
    let data = DataDir::at(cli.data.as_deref()).or_exit(Exit::Usage)?;
    match cli.command {
        Command::Up(args) => up::run(*args, data).await,
        Command::Transcribe(args) => work::transcribe(*args, data).await,
        Command::Paint(args) => work::paint(*args, data).await,
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
