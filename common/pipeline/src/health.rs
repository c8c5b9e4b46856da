//! Whether the process lives and is ready, part by part.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a process needs in order to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The connection to NATS.
    Nats,
    /// Streams and consumers are as they must be.
    Streams,
    /// The bucket.
    Store,
    /// The loaded model.
    Model,
    /// Jobs can be taken.
    Queue,
    /// The end of a job can be told.
    Settling,
    /// What JetStream gave up on is dealt with.
    Advisories,
    /// Messages that nobody gets are looked for.
    Sweep,
    /// What need not be kept is erased.
    Retention,
    /// All jobs are counted.
    Audit,
    /// Every pool with jobs has a live worker.
    Pools,
    /// A worker of this process runs.
    Worker,
    /// What buckets tell becomes jobs.
    Intake,
    /// What jobs made gets back to the bucket.
    Results,
    /// The bucket is listed.
    Listing,
}

/// What the process says of itself. Every part is missing until it reports.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    next: AtomicU64,
}

/// A part of one worker; the process's own parts have no name in front.
type Key = (Arc<str>, Part);

#[derive(Debug, Default)]
struct State {
    parts: BTreeMap<Key, Option<String>>,
    /// Troubles that end when their guard is dropped.
    troubles: BTreeMap<(Key, u64), String>,
    dead: Option<String>,
}

/// The health of one worker, or of the process itself.
#[derive(Debug, Clone)]
pub struct Scope {
    health: Arc<Health>,
    name: Arc<str>,
}

/// Something that does not work until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Trouble {
    scope: Scope,
    part: Part,
    id: u64,
}

impl Health {
    /// The process's own parts.
    pub fn process(self: &Arc<Self>) -> Scope {
        self.scope("")
    }

    /// The parts of one worker.
    pub fn scope(self: &Arc<Self>, name: &str) -> Scope {
        Scope { health: Arc::clone(self), name: name.into() }
    }

    /// The process cannot recover: it wants to be started again.
    pub fn die(&self, why: impl ToString) {
        self.state().dead.get_or_insert(why.to_string());
    }

    /// Why the process should be started again, if it should.
    pub fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// What is missing, as `part: why` or `worker/part: why`; nothing when the process is ready.
    pub fn missing(&self) -> Vec<String> {
        let state = self.state();
        let parts = state.parts.iter().filter_map(|(key, why)| Some((key, why.as_ref()?)));
        let troubles = state.troubles.iter().map(|((key, _), why)| (key, why));
        let lines = parts.chain(troubles).map(|((name, part), why)| match &**name {
            "" => format!("{part}: {why}"),
            name => format!("{name}/{part}: {why}"),
        });
        state.dead.iter().cloned().chain(lines).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scope {
    /// These parts are needed and are not there yet.
    pub fn expect(&self, parts: &[Part]) {
        parts.iter().for_each(|part| self.down(*part, "not started yet"));
    }

    /// The part works.
    pub fn up(&self, part: Part) {
        self.health.state().parts.insert(self.key(part), None);
    }

    /// The part does not work, and why: the process is not ready until it does.
    pub fn down(&self, part: Part, why: impl ToString) {
        self.health.state().parts.insert(self.key(part), Some(why.to_string()));
    }

    /// Something of the part does not work, as long as the guard lives.
    pub fn trouble(&self, part: Part, why: impl ToString) -> Trouble {
        let trouble = Trouble { scope: self.clone(), part, id: self.health.next.fetch_add(1, Ordering::Relaxed) };
        trouble.say(why);
        trouble
    }

    /// The whole process.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    fn key(&self, part: Part) -> Key {
        (Arc::clone(&self.name), part)
    }
}

impl Trouble {
    /// It is another trouble now.
    pub fn say(&self, why: impl ToString) {
        let key = (self.scope.key(self.part), self.id);
        self.scope.health.state().troubles.insert(key, why.to_string());
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        let key = (self.scope.key(self.part), self.id);
        self.scope.health.state().troubles.remove(&key);
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nats => "nats",
            Self::Streams => "streams",
            Self::Store => "store",
            Self::Model => "model",
            Self::Queue => "queue",
            Self::Settling => "settling",
            Self::Advisories => "advisories",
            Self::Sweep => "sweep",
            Self::Retention => "retention",
            Self::Audit => "audit",
            Self::Pools => "pools",
            Self::Worker => "worker",
            Self::Intake => "intake",
            Self::Results => "results",
            Self::Listing => "listing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d3_one_worker_does_not_hide_the_trouble_of_another() {
        let health = Arc::new(Health::default());
        let (transcribe, paint) = (health.scope("transcribe"), health.scope("paint"));
        transcribe.down(Part::Streams, "stream AUDIO is missing");
        paint.up(Part::Streams);
        assert_eq!(health.missing(), ["transcribe/streams: stream AUDIO is missing"]);
        let (first, second) = (paint.trouble(Part::Settling, "one"), paint.trouble(Part::Settling, "two"));
        drop(first);
        second.say("still two");
        assert!(health.missing().contains(&"paint/settling: still two".to_owned()));
        drop(second);
        assert_eq!(health.missing().len(), 1);
    }
}
