//! Counts every job that the streams know: accepted − ended − in flight must be nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::ledger::Ledger;
use crate::event::FINAL_KINDS;
use crate::failure::Failure;
use crate::job::JobId;
use crate::queue::Queue;
use crate::store::{ObjectKey, Store};

/// Jobs looked at together.
const READERS: usize = 16;
/// Largest receipt that is read, in bytes.
const MAX_RECEIPT: u64 = 16 << 20;
/// Largest object that is compared with its receipt, in bytes.
const MAX_OBJECT: u64 = 1 << 30;

/// What became of all jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Jobs that a queue took and that the events' age still covers.
    pub accepted: usize,
    /// Jobs by their final event.
    pub ended: BTreeMap<String, usize>,
    /// Jobs that a queue holds: waiting, in work, or waiting for another attempt.
    pub in_flight: usize,
    /// Jobs that are none of these, and those whose end is not what it should be.
    pub doubts: Vec<Doubt>,
}

/// One job, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Doubt {
    /// The job.
    pub job: String,
    /// What is wrong.
    pub why: String,
}

/// Audits again and again; what it has read once it does not read again.
#[derive(Debug, Default)]
pub struct Audit {
    ledger: Ledger,
    /// Done, with everything in the bucket.
    sound: HashSet<JobId>,
    objects: bool,
}

impl Audit {
    /// An audit that also compares every object of every done job with its receipt.
    pub fn of_objects() -> Self {
        Self { objects: true, ..Self::default() }
    }

    /// Counts; without a store, what a done job has made is not looked at.
    ///
    /// # Errors
    /// A stream or the bucket cannot be read.
    pub async fn run(&mut self, queue: &Queue, store: Option<&Store>) -> anyhow::Result<Report> {
        // The order matters: a job moves from AUDIO to TEXT to its final event, and is published
        // at the next place before it leaves the last one.
        let mut told = queue.told().await?;
        let mut waiting = self.ledger.waiting(queue, "AUDIO").await?;
        waiting.extend(self.ledger.waiting(queue, "TEXT").await?);
        for job in &waiting {
            told.entry(job.clone()).or_default();
        }
        self.sound.retain(|job| told.contains_key(job));
        let mut report = Report { accepted: told.len(), ..Report::default() };
        let mut done = Vec::new();
        for (job, kinds) in told {
            match standing(queue, &waiting, &job, &kinds).await? {
                Standing::Ended(kind) => {
                    *report.ended.entry(kind.to_owned()).or_default() += 1;
                    done.extend((kind == "done" && !self.sound.contains(&job)).then_some(job));
                }
                Standing::InFlight => report.in_flight += 1,
                Standing::Doubtful(why) => report.doubts.push(Doubt { job: job.to_string(), why }),
            }
        }
        if let Some(store) = store {
            report.doubts.extend(self.unsound(store, done).await?);
        }
        report.doubts.sort();
        Ok(report)
    }

    /// Those of the jobs that are done and whose objects are not all there.
    async fn unsound(&mut self, store: &Store, done: Vec<JobId>) -> anyhow::Result<Vec<Doubt>> {
        let objects = self.objects;
        let looked = stream::iter(done).map(|job| async move {
            let why = look(store, &job, objects).await?;
            anyhow::Ok((job, why))
        });
        let looked: Vec<(JobId, Option<String>)> = looked.buffer_unordered(READERS).try_collect().await?;
        let mut doubts = Vec::new();
        for (job, why) in looked {
            match why {
                Some(why) => doubts.push(Doubt { job: job.to_string(), why }),
                None => drop(self.sound.insert(job)),
            }
        }
        Ok(doubts)
    }
}

/// Where a job stands.
enum Standing {
    Ended(&'static str),
    InFlight,
    Doubtful(String),
}

async fn standing(
    queue: &Queue,
    waiting: &HashSet<JobId>,
    job: &JobId,
    kinds: &HashMap<String, usize>,
) -> anyhow::Result<Standing> {
    let finals: usize = FINAL_KINDS.iter().filter_map(|kind| kinds.get(*kind)).sum();
    // Every way out of DEAD is another run, with an acceptance and a final event of its own.
    let runs = kinds.get("accepted").copied().unwrap_or(0).max(1);
    if finals > runs {
        return Ok(Standing::Doubtful(format!("{finals} final events for {runs} runs")));
    }
    if finals < runs && waiting.contains(job) {
        return Ok(Standing::InFlight);
    }
    let mut kinds_told = FINAL_KINDS.iter().filter(|kind| kinds.contains_key(**kind));
    if let (Some(kind), None, true) = (kinds_told.next(), kinds_told.next(), finals == runs) {
        return Ok(Standing::Ended(kind));
    }
    // The end of an earlier run is not the end of this one.
    let ended = queue.has_ended(job, u32::try_from(runs - 1).unwrap_or(u32::MAX)).await?;
    Ok(match queue.ending(job).await?.filter(|_| ended) {
        Some(event) => Standing::Ended(event.data.kind()),
        None => Standing::Doubtful("no final event, and no queue holds it".into()),
    })
}

/// What is wrong with the objects of a job that is done.
async fn look(store: &Store, job: &JobId, objects: bool) -> anyhow::Result<Option<String>> {
    let Some(receipt) = store.find(&ObjectKey::Receipt(job)).await? else {
        return Ok(Some("done, but its receipt is not in the bucket".into()));
    };
    if !objects {
        return Ok(None);
    }
    let receipt = store.get(&receipt.key, MAX_RECEIPT).await?;
    let receipt: serde_json::Value = serde_json::from_slice(&receipt).unwrap_or_default();
    for object in receipt["objects"].as_array().into_iter().flatten() {
        let (key, sha256) = (object["key"].as_str().unwrap_or_default(), object["sha256"].as_str().unwrap_or_default());
        match store.get(key, MAX_OBJECT).await {
            Ok(bytes)
                if Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>() == sha256 => {}
            Ok(_) => return Ok(Some(format!("{key} is not what the receipt says"))),
            Err(Failure::Reject(_)) => return Ok(Some(format!("{key} is not in the bucket"))),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(None)
}
