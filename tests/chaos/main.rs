//! The short form of `./dev chaos`, with a seed of its own each time.

mod judge;

use shanshui_tests::chaos::{Plan, Trial, run};
use shanshui_tests::scratch;

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
