//! `shanshui plan`: how many workers a number of jobs needs, and how long they wait then.

mod queueing;

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::{Event, Step};

use crate::exit::{Exit, Refusal};
use crate::print;
use crate::reach::Reach;
use queueing::{Load, Waiting};

/// Finished stages that are looked back on.
const RECENT: usize = 200;
/// Most workers of a stage that are planned.
const MOST: u32 = 100_000;

/// Plan how many workers are needed for so many jobs an hour
///
/// The seconds of each stage are those of the jobs that the queue's events tell of, unless --seconds
/// gives them. Waiting times are those of Erlang's formula C with the correction of Allen and Cunneen
/// (docs/operations.md has both, and what they leave out).
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    /// Jobs that come within an hour
    #[arg(long, value_name = "JOBS", value_parser = positive)]
    jobs_per_hour: f64,
    /// Seconds that a stage takes for one job, as paint=4.5; may be repeated [default: as measured]
    #[arg(long, value_name = "STAGE=SECONDS", value_parser = seconds)]
    seconds: Vec<(String, f64)>,
    /// Workers of a stage, as paint=4; may be repeated [default: as few as hold --wait]
    #[arg(long, value_name = "STAGE=WORKERS", value_parser = workers)]
    workers: Vec<(String, u32)>,
    /// Seconds that 19 of 20 jobs may wait at each stage
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = positive)]
    wait: f64,
    /// How unevenly jobs come: the squared coefficient of variation of the time between two of them. 1: as
    /// if by chance; 4 and more: in bursts
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = positive)]
    burst: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// What was measured of one stage.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    mean: f64,
    /// Squared coefficient of variation.
    spread: f64,
    jobs: usize,
}

/// What is planned for one stage.
struct Planned {
    stage: &'static str,
    measured: Measured,
    workers: u32,
    utilisation: f64,
    waiting: Waiting,
}

/// Measures, plans, prints.
pub(crate) async fn run(args: PlanArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let named = args.seconds.iter().map(|(stage, _)| stage).chain(args.workers.iter().map(|(stage, _)| stage));
    for stage in named {
        if !steps.iter().any(|step| step.stage == stage) {
            return Err(Refusal::setting(
                "stage",
                stage,
                steps.iter().map(|step| step.stage).collect::<Vec<_>>().join(", "),
            ));
        }
    }
    let given = |step: &Step| args.seconds.iter().any(|(stage, _)| stage == step.stage);
    // Whoever gives all numbers needs no server.
    let seen = if steps.iter().all(given) { BTreeMap::new() } else { measure(&args.reach.queue(steps).await?).await? };
    let planned: Result<Vec<_>, _> = steps.iter().map(|step| plan(&args, step, &seen)).collect();
    let planned = planned?;
    if args.json {
        print::line(
            json!({ "jobs_per_hour": args.jobs_per_hour, "stages": planned.iter().map(object).collect::<Vec<_>>() }),
        );
    } else {
        show(&args, &planned);
    }
    let overloaded = planned.iter().any(|plan| plan.utilisation >= 1.0);
    Ok(if overloaded { Exit::Failed } else { Exit::Done })
}

/// Seconds of the last jobs, by stage.
async fn measure(queue: &Queue) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for envelope in queue.last_events("finished", RECENT).await? {
        if let Event::Finished { stage, seconds, .. } = envelope.data {
            seen.entry(stage).or_default().push(seconds);
        }
    }
    Ok(seen)
}

fn plan(args: &PlanArgs, step: &Step, seen: &BTreeMap<String, Vec<f64>>) -> Result<Planned, Refusal> {
    let given = args.seconds.iter().rev().find(|(stage, _)| stage == step.stage);
    let measured = match given {
        // A GPU takes much the same for each job; nothing better is known.
        Some((_, mean)) => Measured { mean: *mean, spread: 0.25, jobs: 0 },
        None => of(seen.get(step.stage).map_or(&[], Vec::as_slice)).ok_or_else(|| {
            let allowed = format!("{}=SECONDS; the events tell of no finished job of {0}", step.stage);
            Refusal::setting("seconds", "(none)", allowed)
        })?,
    };
    let load =
        Load { rate: args.jobs_per_hour / 3600.0, mean: measured.mean, arrivals: args.burst, spread: measured.spread };
    let asked = args.workers.iter().rev().find(|(stage, _)| stage == step.stage).map(|(_, workers)| *workers);
    let workers = match asked {
        Some(workers) => workers,
        None => load.fewest(args.wait, MOST).ok_or_else(|| {
            Refusal::setting(
                "jobs-per-hour",
                args.jobs_per_hour,
                format!("as many as {MOST} workers of {} can do", step.stage),
            )
        })?,
    };
    let (utilisation, waiting) = (load.erlangs() / f64::from(workers), load.waiting(workers));
    Ok(Planned { stage: step.stage, measured, workers, utilisation, waiting })
}

fn of(seconds: &[f64]) -> Option<Measured> {
    let jobs = seconds.len();
    let mean = seconds.iter().sum::<f64>() / jobs as f64;
    let squares = seconds.iter().map(|own| (own - mean).powi(2)).sum::<f64>() / jobs as f64;
    (jobs > 0 && mean > 0.0).then(|| Measured { mean, spread: squares / (mean * mean), jobs })
}

fn object(plan: &Planned) -> serde_json::Value {
    let Planned { stage, measured, workers, utilisation, waiting } = plan;
    json!({
        "stage": stage, "seconds": measured.mean, "spread": measured.spread, "measured_jobs": measured.jobs,
        "workers": workers, "worker_hours_a_day": f64::from(*workers) * 24.0, "utilisation": utilisation,
        "wait_p50": waiting.half, "wait_p95": waiting.nearly_all,
    })
}

fn show(args: &PlanArgs, planned: &[Planned]) {
    print::line(format_args!("{} jobs an hour", args.jobs_per_hour));
    print::line("STAGE        SECONDS  MEASURED  WORKERS  HOURS A DAY  UTILISATION  WAIT p50  WAIT p95");
    for plan in planned {
        let Planned { stage, measured, workers, utilisation, waiting } = plan;
        let jobs = if measured.jobs == 0 { "given".to_owned() } else { format!("{} jobs", measured.jobs) };
        let wait = |seconds: Option<f64>| seconds.map_or("grows".to_owned(), |seconds| format!("{seconds:.1} s"));
        print::line(format_args!(
            "{stage:<12} {:>7.2}  {jobs:>8}  {workers:>7}  {:>11}  {:>9.0} %  {:>8}  {:>8}",
            measured.mean,
            workers * 24,
            utilisation * 100.0,
            wait(waiting.half),
            wait(waiting.nearly_all),
        ));
    }
    if planned.iter().any(|plan| plan.utilisation >= 1.0) {
        print::note("shanshui: more comes than these workers can do: the queue grows without end");
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0 && *number <= 1e9);
    number.ok_or_else(|| "allowed: a number above 0, at most 1e9".into())
}

fn seconds(text: &str) -> Result<(String, f64), String> {
    let (stage, number) = text.split_once('=').ok_or("allowed: STAGE=SECONDS")?;
    Ok((stage.to_owned(), positive(number)?))
}

fn workers(text: &str) -> Result<(String, u32), String> {
    let (stage, number) = text.split_once('=').ok_or("allowed: STAGE=WORKERS")?;
    let number = number.parse().ok().filter(|number| (1..=MOST).contains(number));
    Ok((stage.to_owned(), number.ok_or_else(|| format!("allowed: a whole number from 1 to {MOST}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_of_jobs_are_told_as_mean_and_spread() {
        assert_eq!(of(&[]), None);
        let measured = of(&[2.0, 4.0, 6.0]).unwrap();
        assert_eq!((measured.mean, measured.jobs), (4.0, 3));
        assert!((measured.spread - 8.0 / 3.0 / 16.0).abs() < 1e-12, "{measured:?}");
    }

    #[test]
    fn numbers_of_the_command_line_are_bounded() {
        assert!(
            positive("0").is_err() && positive("-1").is_err() && positive("nan").is_err() && positive("inf").is_err()
        );
        assert_eq!(seconds("paint=4.5").unwrap(), ("paint".into(), 4.5));
        assert!(seconds("paint").is_err() && workers("paint=0").is_err() && workers("paint=1.5").is_err());
    }
}
