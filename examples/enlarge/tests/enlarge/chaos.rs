//! The chaos run knows the stage: its workers are killed with the others, its queue must be empty in
//! the end, and its objects must be those of the receipts.

use shanshui_tests::chaos::{Plan, Trial, run};
use shanshui_tests::scratch;

#[test]
fn a_dozen_jobs_survive_a_storm_with_a_third_stage() {
    super::take_program();
    let seed = u64::from(std::process::id());
    let folder = scratch();
    let keep = folder.path().to_owned();
    let plan = Plan { seed, jobs: 12, workers: 1, ack_wait: 5, max_deliver: 4, trial: Trial::Storm, keep };
    let outcome = run(&plan, &|line| eprintln!("{line}"));
    let faults = outcome.faults();
    let begun = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let kept = if faults.is_empty() { None } else { Some(folder.keep()) };
    assert!(faults.is_empty(), "seed {seed}; what was said lies in {kept:?}: {faults:#?}");
    assert!(begun.contains("\"worker\":\"enlarge-0-"), "seed {seed}: no worker of the third stage said a word");
    assert!(outcome.broken().contains(&"worker killed (SIGKILL)"), "seed {seed}: {:?}", outcome.broken());
}
