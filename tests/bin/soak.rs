//! `./dev soak`: one job a second for hours, and samples of every process.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use shanshui_tests::Objects;
use shanshui_tests::chaos::{Soak, soak};

/// Publish jobs at a steady pace, break a worker every minute, sample memory and descriptors
///
/// Exit code 1 if a job was lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "soak", max_term_width = 100)]
struct Arguments {
    /// Minutes for which jobs are published
    #[arg(long, default_value_t = 90.0)]
    minutes: f64,
    /// Seconds from one job to the next
    #[arg(long, default_value_t = 1.0)]
    every: f64,
    /// Where every choice comes from
    #[arg(long, default_value_t = 36)]
    seed: u64,
    /// Folder for the measurements
    #[arg(long, value_name = "FOLDER", default_value = ".cache/soak")]
    keep: PathBuf,
    /// One more argument for `shanshui streams apply`; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    apply: Vec<String>,
    /// Only serve S3 over this folder: how the program starts itself as the store
    #[arg(long, value_name = "FOLDER", hide = true)]
    store: Option<PathBuf>,
}

fn main() -> std::io::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.store {
        Objects::serve_for_ever(folder);
    }
    let Arguments { minutes, seed, keep, apply: settings, .. } = arguments;
    let plan = Soak { seed, minutes, every: Duration::from_secs_f64(arguments.every), keep, settings };
    let program = std::env::current_exe()?;
    let store = |folder: &Path| Objects::in_child(Command::new(program).arg("--store").arg(folder), folder);
    let faults = soak(&plan, store, &|line| eprintln!("soak: {line}"));
    faults.iter().for_each(|fault| eprintln!("soak: {fault}"));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
