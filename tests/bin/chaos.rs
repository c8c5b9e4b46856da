//! `./dev chaos`: breaks everything while jobs go through, and reports what was lost or doubled.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use shanshui_tests::chaos::{Isolation, Machine, Outcome, Plan, Trial, isolate, report, run};

/// Break everything while jobs go through; exit code 1 if anything was lost or doubled
///
/// Prints a report as Markdown on standard output and how it goes on standard error.
#[derive(Debug, Parser)]
#[command(name = "./dev chaos", max_term_width = 100)]
struct Arguments {
    /// Jobs while everything is broken, with one nats-server; 0 leaves this trial out
    #[arg(long, default_value_t = 1000)]
    jobs: usize,
    /// Jobs of each of the two trials with three nats-servers (R34, R35); 0 leaves them out
    #[arg(long, default_value_t = 60)]
    cluster_jobs: usize,
    /// Attempts of the job that kills every worker which begins it; 0 leaves this trial out
    #[arg(long, default_value_t = 5)]
    poison: usize,
    /// Where every choice comes from: the jobs, and what is broken in which order; random if not given. When
    /// a blow lands depends on the machine, so a run with the same seed is alike and not the same
    #[arg(long)]
    seed: Option<u64>,
    /// Workers of each stage
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    workers: u8,
    /// Seconds after which an unacknowledged delivery goes to another worker; the product's own
    /// default is 30
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    ack_wait: u64,
    /// Deliveries of one message until JetStream gives it up and the reconciler must queue it again;
    /// the product's own default is 100
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..))]
    max_deliver: u64,
    /// File for the report, besides standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Folder for what workers and events said
    #[arg(long, value_name = "FOLDER", default_value = ".cache/chaos")]
    keep: PathBuf,
}

impl Arguments {
    fn plans(&self, seed: u64) -> Vec<Plan> {
        let trials = [
            (Trial::Storm, self.jobs, "storm"),
            (Trial::LeaderKilled, self.cluster_jobs, "r34"),
            (Trial::ReplicaCutOff, self.cluster_jobs, "r35"),
        ];
        let (workers, ack_wait, max_deliver) = (usize::from(self.workers), self.ack_wait, self.max_deliver);
        let plan = |(trial, jobs, name): (Trial, usize, &str)| {
            let keep = self.keep.join(format!("{seed}-{name}"));
            Plan { seed, jobs, workers, ack_wait, max_deliver, trial, keep }
        };
        trials.into_iter().filter(|(_, jobs, _)| *jobs > 0).map(plan).collect()
    }

    fn command(&self, seed: u64) -> String {
        let Self { jobs, cluster_jobs, poison, workers, ack_wait, max_deliver, .. } = self;
        format!(
            "./dev chaos --jobs {jobs} --cluster-jobs {cluster_jobs} --poison {poison} --workers {workers} \
             --ack-wait {ack_wait} --max-deliver {max_deliver} --seed {seed}"
        )
    }
}

fn main() -> std::io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let machine = Machine::here();
    let tell = |line: &str| eprintln!("chaos: {line}");
    let outcomes: Vec<_> = arguments.plans(seed).iter().map(|plan| run(plan, &tell)).collect();
    let isolation = (arguments.poison > 0).then(|| isolate(arguments.poison, arguments.ack_wait, &tell));
    let text = report(&machine, &arguments.command(seed), &outcomes, isolation.as_ref());
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(file) = &arguments.report {
        std::fs::write(file, &text)?;
    }
    let broken = outcomes.iter().flat_map(Outcome::faults).chain(isolation.iter().flat_map(Isolation::faults)).count();
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
