//! The program of a pipeline: every part of it, and the commands to use it.
//!
//! A program is the list of its stages, in the order in which a job takes them. Streams, consumers,
//! workers, `up`, the reconciler, the audit and the commands follow the list:
//!
//! ```text
//! fn main() -> std::process::ExitCode {
//!     shanshui::main([Served::of::<Transcribe>(), Served::of::<Paint>(), Served::of::<Enlarge>()])
//! }
//! ```

mod cli;
mod commands;
mod data;
mod embedded;
mod exit;
mod gpu_program;
mod job;
mod models;
mod print;
mod program;
mod reach;
mod served;
mod service;
mod settings;

use std::process::ExitCode;
use std::time::Duration;

use exit::{Exit, Refusal};
use program::Program;
pub use served::Served;
use settings::Stop;
use shanshui_pipeline::causes;

/// A blocking call that does not end must not hold up the exit.
const LAST_CALL: Duration = Duration::from_secs(5);

/// Spans of the last jobs may take so long to reach their collector.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// candle's variable for the number of its threads, and rayon's.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Without a number in the environment candle 0.11 reads /proc/cpuinfo at every matrix product, and takes
/// one thread where two processors share a core, as they do on most virtual machines.
fn set_threads() {
    if let Ok(cores) = std::thread::available_parallelism()
        && std::env::var_os(THREADS).is_none()
    {
        #[expect(unsafe_code, clippy::disallowed_methods, reason = "the program's first act: there is no other thread")]
        unsafe {
            std::env::set_var(THREADS, cores.to_string());
        }
    }
}

/// Does what the command line asks of a program with these stages.
pub fn main(stages: impl IntoIterator<Item = Served>) -> ExitCode {
    set_threads();
    let program = match Program::of(stages) {
        Ok(program) => program,
        Err(refusal) => return refuse(&refusal),
    };
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = match settings::parse(program.command(), &arguments) {
        Ok(matches) => matches,
        Err(Stop::Clap(error)) => {
            // A closed pipe (`--help | head`) is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
        Err(Stop::Refused(refusal)) => return refuse(&refusal),
    };
    if let Err(refusal) = gpu_program::hand_over(&matches, &arguments) {
        return refuse(&refusal);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.into()),
    };
    let ended = runtime.block_on(program.run(&matches));
    runtime.shutdown_timeout(LAST_CALL);
    shanshui_pipeline::telemetry::flush(LAST_SPANS);
    match ended {
        Ok(exit) => exit.into(),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> ExitCode {
    print::note(format_args!("shanshui: {}", causes(&refusal.error)));
    refusal.exit.into()
}
