//! A lease is held by progress, not by a timer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::Subject;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::queue::Queue;

/// Asks JetStream for another full ack wait.
const IN_PROGRESS: &str = "+WPI";

/// Work done on one attempt: the model's thread reports it, the worker's lease watches it.
#[derive(Debug)]
pub struct Progress {
    last: Mutex<Instant>,
    told: watch::Sender<Option<Done>>,
}

/// Units of work, as seconds of audio or denoising steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Done {
    /// Units done.
    pub done: f64,
    /// Units in all.
    pub total: f64,
    /// Seconds to go, as far as one can tell.
    pub eta: Option<f64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { last: Mutex::new(Instant::now()), told: watch::Sender::new(None) }
    }
}

impl Progress {
    /// Says that `done` of `total` units are done; may be called from any thread.
    pub fn report(&self, done: f64, total: f64) {
        let since = self.touch();
        let eta = self
            .told
            .borrow()
            .filter(|before| done > before.done)
            .map(|before| (total - done) * since.as_secs_f64() / (done - before.done));
        self.told.send_replace(Some(Done { done, total, eta }));
    }

    /// Says that the work goes on, without a number; returns the time since the last word.
    pub fn touch(&self) -> Duration {
        let mut last = lock(&self.last);
        std::mem::replace(&mut *last, Instant::now()).elapsed()
    }

    /// Time since the last word.
    pub fn silence(&self) -> Duration {
        lock(&self.last).elapsed()
    }

    /// Follows the reports; the newest one counts, also one made before this call.
    pub fn follow(&self) -> watch::Receiver<Option<Done>> {
        let mut told = self.told.subscribe();
        if told.borrow().is_some() {
            told.mark_changed();
        }
        told
    }
}

/// How long a lease is held, at the longest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseTerms {
    /// Between two heartbeats: a third of the ack wait.
    pub(crate) every: Duration,
    /// Longest time without progress.
    pub(crate) stall: Duration,
}

impl LeaseTerms {
    fn ack_wait(&self) -> Duration {
        self.every * 3
    }
}

/// Keeps one message on loan until it is dropped. The heartbeats come from the connection's own
/// thread, so that computing cannot starve them; they pause while the work makes no progress and
/// after its deadline, so that a hung call does not hold the message for ever.
#[derive(Debug)]
pub(crate) struct Lease {
    /// What the work reports to.
    pub(crate) progress: Arc<Progress>,
    terms: LeaseTerms,
    held: Arc<Mutex<Held>>,
    _beats: JoinSet<()>,
}

#[derive(Debug)]
struct Held {
    deadline: Option<Instant>,
    /// Last heartbeat over a link that was up.
    beaten: Instant,
    /// Heartbeats were too far apart: another worker may have the message by now.
    doubtful: bool,
}

impl Lease {
    /// Holds the message whose acknowledgements go to `reply`.
    pub(crate) fn hold(queue: &Queue, reply: Subject, terms: LeaseTerms) -> Self {
        let progress = Arc::new(Progress::default());
        let held = Held { deadline: None, beaten: Instant::now(), doubtful: false };
        let held = Arc::new(Mutex::new(held));
        let beats = Beats { queue: queue.clone(), reply, progress: progress.clone(), held: held.clone() };
        Self { progress, terms, held, _beats: queue.link.spawn(beats.run(terms)) }
    }

    /// Whether no other worker can have the message; a process that was stopped for a while, or
    /// cut off, cannot know.
    pub(crate) fn is_sure(&self) -> bool {
        let held = lock(&self.held);
        !held.doubtful && held.beaten.elapsed() < self.terms.ack_wait()
    }

    /// Somebody has looked: the job has not ended.
    pub(crate) fn trust(&self) {
        let mut held = lock(&self.held);
        (held.doubtful, held.beaten) = (false, Instant::now());
    }

    /// Whatever happens, not after `time`; `None` once the work is over and only its end is told.
    pub(crate) fn until(&self, time: Option<Instant>) {
        self.progress.touch();
        lock(&self.held).deadline = time;
    }
}

struct Beats {
    queue: Queue,
    reply: Subject,
    progress: Arc<Progress>,
    held: Arc<Mutex<Held>>,
}

impl Beats {
    async fn run(self, terms: LeaseTerms) {
        let mut beat = tokio::time::interval(terms.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            beat.tick().await;
            let silence = self.progress.silence();
            let late = lock(&self.held).deadline.is_some_and(|deadline| Instant::now() > deadline);
            if late || silence > terms.stall {
                tracing::warn!(
                    late,
                    silent_seconds = silence.as_secs(),
                    "no progress, or past the deadline: the lease runs out"
                );
                continue;
            }
            if let Err(error) = self.queue.client.publish(self.reply.clone(), IN_PROGRESS.into()).await {
                tracing::warn!(%error, "cannot extend the lease; trying again");
            } else if self.queue.is_connected() {
                self.note(terms);
            }
        }
    }

    fn note(&self, terms: LeaseTerms) {
        let mut held = lock(&self.held);
        held.doubtful |= held.beaten.elapsed() >= terms.ack_wait();
        held.beaten = Instant::now();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
