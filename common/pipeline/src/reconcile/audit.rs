//! Counts every job that the streams know: accepted − ended − in flight must be nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::books::Books;
use super::ledger::Ledger;
use crate::code::Code;
use crate::failure::Failure;
use crate::id::sha256_hex;
use crate::job::JobId;
use crate::queue::{End, PoolState, Queue};
use crate::store::{ObjectKey, Store};

/// Jobs looked at together.
const READERS: usize = 16;
/// Largest receipt that is read, in bytes.
const MAX_RECEIPT: u64 = 16 << 20;
/// Largest object that is compared with its receipt, in bytes.
const MAX_OBJECT: u64 = 1 << 30;

/// In place of an end, where a job was erased before its end was counted.
const ERASED: &str = "erased";

/// What became of all jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Runs of jobs that a worker has seen, and jobs that wait for one.
    pub accepted: usize,
    /// Runs by their final event.
    pub ended: BTreeMap<String, usize>,
    /// Jobs that a queue holds: waiting, in work, or waiting for another attempt.
    pub in_flight: usize,
    /// Jobs that are none of these, and those whose end is not what it should be.
    pub discrepancies: Vec<Discrepancy>,
    /// Every pool.
    pub pools: Vec<PoolState>,
}

/// One job, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Discrepancy {
    /// The job.
    pub job: String,
    /// What is wrong.
    pub why: String,
}

/// Audits again and again; what it has read once it does not read again.
#[derive(Debug, Default)]
pub struct Audit {
    ledger: Ledger,
    books: Books,
    objects: bool,
}

impl Audit {
    /// An audit that also compares every object of every done job with its receipt.
    pub fn of_objects() -> Self {
        Self { objects: true, ..Self::default() }
    }

    /// An audit that counts on from where the last reconciler stopped, whichever process that was.
    ///
    /// # Errors
    /// The stream `STATE` cannot be read.
    pub async fn continued(queue: &Queue) -> anyhow::Result<Self> {
        Ok(Self { books: Books::load(queue).await?, ..Self::default() })
    }

    /// Keeps what was read, for [`Audit::continued`].
    ///
    /// # Errors
    /// The stream `STATE` cannot be written.
    pub async fn keep(&self, queue: &Queue) -> anyhow::Result<()> {
        self.books.keep(queue).await
    }

    /// Counts; without a store, what a done job has made is not looked at.
    ///
    /// # Errors
    /// A stream or the bucket cannot be read.
    pub async fn run(&mut self, queue: &Queue, store: Option<&Store>) -> anyhow::Result<Report> {
        // The order matters: a job moves from queue to queue to its end, and is published at the
        // next place before it leaves the last one.
        let before = self.books.clone();
        self.books.read_accepted(queue).await?;
        let mut waiting = HashSet::new();
        for step in queue.steps() {
            waiting.extend(self.ledger.waiting(queue, step).await?);
        }
        self.books.read_ends(queue).await?;
        self.books.settle(&before);
        let (in_flight, mut discrepancies) = self.standing(queue, &waiting).await?;
        if let Some(store) = store {
            discrepancies.extend(self.unsound(queue, store).await?);
        }
        discrepancies.sort();
        let unseen = waiting.iter().filter(|job| !self.knows(job)).count();
        Ok(Report {
            accepted: self.books.accepted + unseen,
            ended: self.books.ended.clone(),
            in_flight: in_flight + unseen,
            discrepancies,
            pools: queue.all_pools().await?,
        })
    }

    fn knows(&self, job: &JobId) -> bool {
        let from = (job.to_string(), 0);
        self.books.open.range(from..).next().is_some_and(|(open, _)| open == job.as_str())
    }

    /// How many open jobs a queue holds, and those that none does.
    async fn standing(&mut self, queue: &Queue, waiting: &HashSet<JobId>) -> anyhow::Result<(usize, Vec<Discrepancy>)> {
        let (mut in_flight, mut wrong) = (0, Vec::new());
        let open: BTreeSet<(String, u32)> = self.books.open.clone();
        for (name, run) in open {
            let Ok(job) = JobId::parse("job", &name) else { continue };
            if waiting.contains(&job) {
                in_flight += 1;
                continue;
            }
            // It may have ended, or come to the next queue, while the others were read.
            match queue.end_of(&job, run).await? {
                End::Told(told) => self.books.end(job, run, told.data.kind()),
                // Nothing is known of a job that was erased.
                End::Open if queue.last_event(&job, "accepted").await?.is_none() => self.books.end(job, run, ERASED),
                End::Open => wrong.push(Discrepancy { job: name, why: "no final event, and no queue holds it".into() }),
            }
        }
        Ok((in_flight, wrong))
    }

    /// Those of the jobs that are done and whose objects are not all there.
    async fn unsound(&mut self, queue: &Queue, store: &Store) -> anyhow::Result<Vec<Discrepancy>> {
        let objects = self.objects;
        let unseen = self.books.unseen.clone().into_iter();
        let looked = stream::iter(unseen).map(|name| async move {
            let job = JobId::parse("job", &name)?;
            anyhow::Ok((name, look(store, &job, objects).await?))
        });
        let looked: Vec<(String, Option<String>)> = looked.buffer_unordered(READERS).try_collect().await?;
        let mut wrong = Vec::new();
        for (job, why) in looked {
            let gone = why.is_some() && queue.last_end(&JobId::parse("job", &job)?).await?.is_none();
            match why.filter(|_| !gone) {
                Some(why) => wrong.push(Discrepancy { job, why }),
                None => drop(self.books.unseen.remove(&job)),
            }
        }
        Ok(wrong)
    }
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
            Ok(bytes) if sha256_hex(&bytes) == sha256 => {}
            Ok(_) => return Ok(Some(format!("{key} has another SHA-256 than the receipt says"))),
            Err(failure @ Failure::Reject(_)) if failure.code() == Code::NotFound => {
                return Ok(Some(format!("{key} is not in the bucket")));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(None)
}
