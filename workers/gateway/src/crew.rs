//! The workers that live: what they said of themselves last.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::Value;
use shanshui_pipeline::{Queue, causes};

/// A worker that has said nothing for so long is gone; it speaks every five seconds.
const GONE: Duration = Duration::from_secs(20);
/// Workers that are remembered.
const MOST: usize = 4096;
/// Before another try to subscribe.
const PAUSE: Duration = Duration::from_secs(1);

/// Stage and name of a worker.
type Name = (String, String);

/// Who works.
#[derive(Default)]
pub(crate) struct Crew {
    known: Mutex<HashMap<Name, (Instant, Value)>>,
}

impl Crew {
    /// Listens for ever.
    pub(crate) async fn listen(&self, queue: &Queue) -> Infallible {
        loop {
            match queue.announcements().await {
                Ok(mut heard) => {
                    while let Some(worker) = heard.next().await {
                        self.hear(worker, Instant::now());
                    }
                }
                Err(error) => tracing::warn!(error = causes(&error), "cannot listen to workers; trying again"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn hear(&self, worker: Value, now: Instant) {
        let name = |field: &str| worker[field].as_str().map(str::to_owned);
        let (Some(stage), Some(own)) = (name("stage"), name("worker")) else { return };
        let mut known = self.known();
        known.retain(|_, (heard, _)| now.duration_since(*heard) < GONE);
        if known.len() < MOST {
            known.insert((stage, own), (now, worker));
        }
    }

    /// The live workers of a stage, by name.
    pub(crate) fn of(&self, stage: &str) -> Vec<Value> {
        self.of_at(stage, Instant::now())
    }

    fn of_at(&self, stage: &str, now: Instant) -> Vec<Value> {
        let known = self.known();
        let live = known.iter().filter(|((at, _), (heard, _))| at == stage && now.duration_since(*heard) < GONE);
        let mut all: Vec<_> = live.map(|((_, name), (_, worker))| (name, worker)).collect();
        all.sort_by_key(|(name, _)| *name);
        all.into_iter().map(|(_, worker)| worker.clone()).collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Name, (Instant, Value)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_is_there_as_long_as_it_speaks() {
        let (crew, start) = (Crew::default(), Instant::now());
        let says = |name: &str, after: u64| {
            crew.hear(json!({ "stage": "paint", "worker": name }), start + Duration::from_secs(after));
        };
        let there = |after: u64| -> Vec<String> {
            let all = crew.of_at("paint", start + Duration::from_secs(after));
            all.iter().map(|worker| worker["worker"].as_str().unwrap().to_owned()).collect()
        };
        says("b", 0);
        says("a", 10);
        crew.hear(json!([1]), start);
        crew.hear(json!({ "stage": 7, "worker": "x" }), start);
        assert_eq!((there(11), there(25), there(40)), (vec!["a".into(), "b".into()], vec!["a".to_owned()], vec![]));
        assert!(crew.of("transcribe").is_empty());
    }

    #[test]
    fn no_number_of_workers_fills_the_memory() {
        let (crew, start) = (Crew::default(), Instant::now());
        for number in 0..MOST + 10 {
            crew.hear(json!({ "stage": "paint", "worker": number.to_string() }), start);
        }
        assert_eq!(crew.of_at("paint", start).len(), MOST);
    }
}
