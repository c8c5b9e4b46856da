//! The one binary: every part of the pipeline, and the commands to use it.

mod cli;
mod commands;
mod data;
mod embedded;
mod exit;
mod job;
mod models;
mod print;
mod reach;
mod service;
mod settings;
mod stages;

use std::process::ExitCode;
use std::time::Duration;

use exit::{Exit, Refusal};
use settings::Stop;
use shanshui_pipeline::causes;

/// A blocking call that does not end must not hold up the exit.
const LAST_CALL: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match settings::parse(&arguments) {
        Ok(cli) => cli,
        Err(Stop::Clap(error)) => {
            // A closed pipe (`--help | head`) is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
        Err(Stop::Refused(refusal)) => return refuse(&refusal),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.into()),
    };
    let ended = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_CALL);
    match ended {
        Ok(exit) => exit.into(),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> ExitCode {
    print::note(format_args!("shanshui: {}", causes(&refusal.error)));
    refusal.exit.into()
}
