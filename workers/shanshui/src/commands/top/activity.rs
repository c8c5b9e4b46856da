//! What the events tell of running jobs and of those that ended.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use shanshui_pipeline::Event;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::queue::Queue;

/// Finished stages that are looked back on for the seconds of a job.
const RECENT: usize = 50;
/// Ends that are counted are not older than this.
const MINUTE: Duration = Duration::from_secs(60);
/// Running jobs and ends that are kept: whoever may publish events could tell of any number.
const MOST: usize = 1000;
/// A job that has told nothing for so long is not shown as running.
const SILENT: Duration = Duration::from_secs(1800);

/// A job that a worker works on.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) stage: String,
    pub(super) worker: String,
    pub(super) attempt: u64,
    pub(super) since: Instant,
    heard: Instant,
    /// Done and total, in units of the stage.
    pub(super) progress: Option<(f64, f64)>,
    pub(super) eta: Option<f64>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Activity {
    pub(super) running: BTreeMap<String, Running>,
    /// Seconds of the last jobs, by stage.
    seconds: BTreeMap<String, VecDeque<f64>>,
    /// When jobs ended, and how.
    ended: VecDeque<(Instant, &'static str)>,
    /// The last things that went wrong, newest last.
    pub(super) troubles: VecDeque<String>,
}

impl Activity {
    /// Learns from the past how long jobs take.
    pub(super) async fn begin(queue: &Queue) -> anyhow::Result<Self> {
        let mut activity = Self::default();
        for envelope in queue.last_events("finished", RECENT).await? {
            activity.took(&envelope.data);
        }
        Ok(activity)
    }

    /// Hears what is told, until that ends.
    pub(super) async fn listen(&mut self, told: &mut (impl Stream<Item = Envelope> + Unpin)) {
        while let Some(event) = told.next().await {
            self.hear(&event);
        }
    }

    /// Hears one event.
    pub(super) fn hear(&mut self, envelope: &Envelope) {
        let (job, now) = (envelope.subject.as_str(), Instant::now());
        match &envelope.data {
            Event::Started { stage, worker, attempt } => {
                let (stage, worker, attempt) = (stage.clone(), worker.clone(), *attempt);
                self.run(job, Running { stage, worker, attempt, since: now, heard: now, progress: None, eta: None });
            }
            Event::Progress { stage, done, total, eta } => {
                if !self.running.contains_key(job) {
                    // It began before we listened; its source ends in the worker's name.
                    let worker = envelope.source.rsplit('/').next().unwrap_or_default().to_owned();
                    let (stage, attempt) = (stage.clone(), 0);
                    self.run(
                        job,
                        Running { stage, worker, attempt, since: now, heard: now, progress: None, eta: None },
                    );
                }
                if let Some(running) = self.running.get_mut(job) {
                    (running.progress, running.eta, running.heard) = (Some((*done, *total)), *eta, now);
                }
            }
            event @ (Event::Finished { .. } | Event::Retrying { .. } | Event::Released { .. }) => {
                self.running.remove(job);
                self.took(event);
                self.regret(job, event);
            }
            event if event.is_final() => {
                self.running.remove(job);
                self.ended.push_back((now, event.kind()));
                self.regret(job, event);
            }
            _ => {}
        }
        self.forget(now);
    }

    fn run(&mut self, job: &str, running: Running) {
        if self.running.len() < MOST {
            self.running.insert(job.to_owned(), running);
        }
    }

    fn took(&mut self, event: &Event) {
        if let Event::Finished { stage, seconds, .. } = event {
            let own = self.seconds.entry(stage.clone()).or_default();
            own.push_back(*seconds);
            if own.len() > RECENT {
                own.pop_front();
            }
        }
    }

    fn regret(&mut self, job: &str, event: &Event) {
        let (Event::Failed { reason, .. } | Event::Retrying { reason, .. } | Event::Released { reason, .. }) = event
        else {
            return;
        };
        self.troubles.push_back(format!("{job}: {}: {reason}", event.kind()));
        if self.troubles.len() > 5 {
            self.troubles.pop_front();
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.ended.front().is_some_and(|(at, _)| now - *at > MINUTE) || self.ended.len() > MOST {
            self.ended.pop_front();
        }
        self.running.retain(|_, running| now - running.heard < SILENT);
    }

    /// Jobs that ended so within the last minute, as far as we have listened.
    pub(super) fn ended(&self, kind: &str) -> usize {
        self.ended.iter().filter(|(at, own)| at.elapsed() < MINUTE && *own == kind).count()
    }

    /// Mean seconds of a job at a stage.
    pub(super) fn mean(&self, stage: &str) -> Option<f64> {
        let own = self.seconds.get(stage).filter(|own| !own.is_empty())?;
        Some(own.iter().sum::<f64>() / own.len() as f64)
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        let running = self.running.iter().map(|(job, it)| {
            let (done, total) = it.progress.unzip();
            json!({
                "job": job, "stage": it.stage, "worker": it.worker, "attempt": it.attempt,
                "seconds": it.since.elapsed().as_secs_f64(), "done": done, "total": total, "eta": it.eta,
            })
        });
        let means = self.seconds.keys().map(|stage| (stage.clone(), json!(self.mean(stage))));
        json!({
            "running": running.collect::<Vec<_>>(),
            "seconds": Value::Object(means.collect()),
            "last_minute": { "done": self.ended("done"), "failed": self.ended("failed"),
                "canceled": self.ended("canceled"), "no-speech": self.ended("no-speech") },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(job: &str, data: Value) -> Envelope {
        let time = "2027-01-01T00:00:00Z";
        serde_json::from_value(json!({ "subject": job, "time": time, "source": "/shanshui/paint/w1", "data": data }))
            .unwrap()
    }

    #[test]
    fn a_job_runs_from_its_start_to_its_end_and_is_counted_then() {
        let mut activity = Activity::default();
        activity.hear(&told("a", json!({ "kind": "started", "stage": "paint", "worker": "w1", "attempt": 2 })));
        activity
            .hear(&told("a", json!({ "kind": "progress", "stage": "paint", "done": 5.0, "total": 20.0, "eta": 3.0 })));
        // One that began before anybody listened.
        activity
            .hear(&told("b", json!({ "kind": "progress", "stage": "paint", "done": 1.0, "total": 2.0, "eta": null })));
        assert_eq!(activity.running["a"].progress, Some((5.0, 20.0)));
        assert_eq!(activity.running["b"].worker, "w1");
        activity.hear(&told("a", json!({ "kind": "finished", "stage": "paint", "seconds": 4.0, "made": "" })));
        activity.hear(&told("a", json!({ "kind": "done", "stage": "paint", "key": null, "seconds": 4.0 })));
        let failed = json!({ "kind": "failed", "stage": "paint", "reason": "no", "attempts": 1 });
        activity.hear(&told("b", failed));
        assert!(activity.running.is_empty());
        assert_eq!((activity.ended("done"), activity.ended("failed"), activity.mean("paint")), (1, 1, Some(4.0)));
        assert_eq!(activity.troubles, ["b: failed: no"]);
    }

    #[test]
    fn however_many_jobs_are_told_of_few_are_kept() {
        let mut activity = Activity::default();
        for number in 0..3 * MOST {
            let job = format!("job-{number}");
            activity.hear(&told(&job, json!({ "kind": "started", "stage": "p", "worker": "w", "attempt": 1 })));
            activity.hear(&told(&format!("end-{number}"), json!({ "kind": "canceled", "stage": "p" })));
        }
        assert!(activity.running.len() <= MOST && activity.ended.len() <= MOST);
    }
}
