//! How long recovery took, and how often jobs were carried out.

use super::history::{History, Told};
use super::storm::Log;
use super::trouble::{LEADER_CUT, LEADER_KILLED, QUEUE_KILLED, STORE_STOPPED, WORKER_KILLED};
use crate::steps::steps;

/// Kinds by which a worker lets go of a job.
const LET_GO: [&str; 6] = ["released", "retrying", "done", "failed", "canceled", "no-speech"];

/// All in seconds, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Measures {
    /// From a worker's death to the next start of its job.
    pub(super) worker: Vec<f64>,
    /// From the server's return to the next event of any job.
    pub(super) queue: Vec<f64>,
    /// From the store's return to the next event of any job that needs it.
    pub(super) store: Vec<f64>,
    /// From the blow to the next event of any job, in a cluster.
    pub(super) cluster: Vec<f64>,
    /// How often each stage began each job.
    pub(super) executions: Vec<(String, Executions)>,
}

#[derive(Debug)]
pub(super) struct Executions {
    pub(super) jobs: usize,
    pub(super) mean: f64,
    pub(super) most: usize,
}

impl Measures {
    pub(super) fn of(history: &History, log: &Log) -> Self {
        let mut measures = Self::default();
        for blow in &log.blows {
            match (blow.what, &blow.whom, blow.back) {
                (WORKER_KILLED, Some(worker), _) => {
                    measures.worker.extend(history.jobs.values().filter_map(|job| restart(job, worker, blow.at)));
                }
                (QUEUE_KILLED, _, Some(back)) => measures.queue.extend(next(&history.times, back)),
                (STORE_STOPPED, _, Some(back)) => measures.store.extend(next(&stored(history), back)),
                (LEADER_KILLED | LEADER_CUT, ..) => measures.cluster.extend(next(&history.times, blow.at)),
                _ => {}
            }
        }
        for times in [&mut measures.worker, &mut measures.queue, &mut measures.store, &mut measures.cluster] {
            times.sort_by(f64::total_cmp);
        }
        let stages = steps().iter().map(|step| &step.stage);
        measures.executions = stages.map(|stage| (stage.clone(), executions(history, stage))).collect();
        measures
    }
}

/// How long the job of a killed worker waited for its next start; none if the worker had no job,
/// or had finished it.
fn restart(job: &[Told], worker: &str, killed: f64) -> Option<f64> {
    let before = job.iter().rposition(|told| told.at <= killed && told.worker == worker && told.kind == "started")?;
    let stage = &job[before].data["stage"];
    let after = &job[before + 1..];
    let next = after.iter().find(|told| told.at > killed && told.kind == "started" && told.data["stage"] == *stage)?;
    let let_go = after.iter().any(|told| told.at <= killed && LET_GO.contains(&told.kind.as_str()));
    (!let_go).then_some(next.at - killed)
}

/// When events came that need the store, in order.
fn stored(history: &History) -> Vec<f64> {
    let events = history.jobs.values().flatten();
    let events = events.filter(|told| ["transcript", "picture", "done"].contains(&told.kind.as_str()));
    let mut times: Vec<f64> = events.map(|told| told.at).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn next(times: &[f64], after: f64) -> Option<f64> {
    times.iter().find(|time| **time > after).map(|time| time - after)
}

fn executions(history: &History, stage: &str) -> Executions {
    let starts =
        |job: &Vec<Told>| job.iter().filter(|told| told.kind == "started" && told.data["stage"] == *stage).count();
    let counts: Vec<usize> = history.jobs.values().map(starts).filter(|count| *count > 0).collect();
    let mean = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
    Executions { jobs: counts.len(), mean, most: counts.into_iter().max().unwrap_or(0) }
}
