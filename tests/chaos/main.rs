//! The short forms of `./dev chaos`, with a seed of its own each time, and of `./dev soak`.

mod judge;

use std::time::Duration;

use shanshui_tests::chaos::{Plan, Soak, Trial, run, soak};
use shanshui_tests::{Objects, scratch};

/// `SHANSHUI_CHAOS_SEED` replays a run.
#[test]
fn g1_sixty_jobs_survive_whatever_is_killed_stopped_slowed_or_cut() {
    let given = std::env::var_os("SHANSHUI_CHAOS_SEED").and_then(|seed| seed.to_str()?.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let folder = scratch();
    let keep = folder.path().to_owned();
    let plan = Plan { seed, jobs: 60, workers: 2, ack_wait: 5, max_deliver: 4, trial: Trial::Storm, keep };
    let outcome = run(&plan, &|line| eprintln!("{line}"));
    let faults = outcome.faults();
    let kept = if faults.is_empty() { None } else { Some(folder.keep()) };
    assert!(faults.is_empty(), "seed {seed}; what was said lies in {kept:?}: {faults:#?}");
    let broken = outcome.broken();
    for what in ["worker killed", "nats-server killed", "S3", "NATS"] {
        assert!(broken.iter().any(|broken| broken.contains(what)), "seed {seed}: {what} was never broken: {broken:?}");
    }
}

#[test]
fn r36_a_soak_of_seconds_ends_with_its_measurements_and_without_faults() {
    let folder = scratch();
    let (every, keep) = (Duration::from_millis(250), folder.path().to_owned());
    let plan = Soak { seed: 4, minutes: 0.25, every, keep, settings: Vec::new() };
    let faults = soak(&plan, Objects::start, &|line| eprintln!("{line}"));
    assert!(faults.is_empty(), "{faults:#?}");
    let rows = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).expect("a file of measurements");
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows("jobs.csv").len(), 60, "one row for each job");
    for process in ["nats-server", "s3", "gateway", "transcribe-0", "paint-1", "reconcile-0"] {
        assert!(rows("processes.csv").iter().any(|row| row.contains(&format!(",{process},"))), "{process}");
    }
    assert!(rows("ends.csv").iter().any(|row| row.starts_with("done,")));
}
