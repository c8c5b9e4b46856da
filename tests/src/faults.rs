//! What the S3 server of the tests does wrong when it is told to, and what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

/// A handle on the faults of one server; cheap to clone.
#[derive(Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    open: Arc<watch::Sender<bool>>,
    stalled: Arc<watch::Sender<bool>>,
}

/// What was done wrong so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// Requests answered with an error and not carried out.
    pub failed: u64,
    /// Requests carried out, the connection then cut.
    pub lost: u64,
}

struct State {
    random: StdRng,
    share: f64,
    statuses: Vec<u16>,
    delay: Duration,
    refused: Option<&'static str>,
    overwrites: bool,
    /// PUTs whose answer is still to be lost.
    lose: u32,
    seen: BTreeMap<(String, String), u32>,
    forgets: bool,
    made: Made,
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Carried out and answered.
    Served,
    /// Answered with this status, nothing else.
    Failed(u16),
    /// Carried out, and nobody is told.
    Lost,
}

impl Faults {
    pub(crate) fn new() -> Self {
        let state = State {
            random: StdRng::seed_from_u64(0),
            share: 0.0,
            statuses: vec![500],
            delay: Duration::ZERO,
            refused: None,
            overwrites: false,
            lose: 0,
            seen: BTreeMap::new(),
            forgets: false,
            made: Made::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            open: Arc::new(watch::Sender::new(true)),
            stalled: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Fails this share of the requests from now on, with one of these statuses each; which ones,
    /// the seed says. A share of 0 ends it.
    pub fn fail(&self, share: f64, statuses: &[u16], seed: u64) {
        let mut state = self.lock();
        state.share = share;
        state.statuses = statuses.to_vec();
        state.random = StdRng::seed_from_u64(seed);
    }

    /// Answers 403 to every request of this method from now on.
    pub fn refuse(&self, method: Option<&'static str>) {
        self.lock().refused = method;
    }

    /// Closes the port and every connection: new ones are refused. What is being carried out, is.
    pub fn stop(&self) {
        self.open.send_replace(false);
    }

    /// Opens the same port again.
    pub fn start(&self) {
        self.open.send_replace(true);
    }

    /// Takes requests in and answers none until told otherwise.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Every answer comes this much later.
    pub fn slow(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Ignores `If-None-Match`, as some stores do: a PUT replaces what is there.
    pub fn overwrite(&self, overwrites: bool) {
        self.lock().overwrites = overwrites;
    }

    pub(crate) fn overwrites(&self) -> bool {
        self.lock().overwrites
    }

    /// Carries out the next `count` PUTs and cuts the connection instead of answering.
    pub fn lose_puts(&self, count: u32) {
        self.lock().lose = count;
    }

    /// Requests of this method (`GET`, `HEAD`, `PUT`, `DELETE`) for this key, failed ones included.
    pub fn seen(&self, method: &str, key: &str) -> u32 {
        self.lock().seen.get(&(method.to_owned(), key.to_owned())).copied().unwrap_or(0)
    }

    /// Every request so far, by method and key.
    pub fn all_seen(&self) -> BTreeMap<(String, String), u32> {
        self.lock().seen.clone()
    }

    /// Writes no request down any more: a list of all of them grows for as long as the server runs.
    pub fn forget(&self) {
        let mut state = self.lock();
        (state.forgets, state.seen) = (true, BTreeMap::new());
    }

    /// What was done wrong so far.
    pub fn made(&self) -> Made {
        self.lock().made
    }

    /// Writes the request down and decides.
    pub(crate) fn decide(&self, method: &str, key: &str) -> Fate {
        let mut state = self.lock();
        if !state.forgets {
            *state.seen.entry((method.to_owned(), key.to_owned())).or_default() += 1;
        }
        if state.refused == Some(method) {
            state.made.failed += 1;
            return Fate::Failed(403);
        }
        let (share, statuses) = (state.share, state.statuses.len());
        if share > 0.0 && state.random.random_bool(share) {
            let at = state.random.random_range(0..statuses);
            state.made.failed += 1;
            return Fate::Failed(state.statuses[at]);
        }
        if method == "PUT" && state.lose > 0 {
            state.lose -= 1;
            state.made.lost += 1;
            return Fate::Lost;
        }
        Fate::Served
    }

    /// Holds an answer back for as long as it must be.
    pub(crate) async fn hold(&self) {
        let delay = self.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut stalled = self.stalled.subscribe();
        // The sender lives in `self`.
        let _ = stalled.wait_for(|stalled| !stalled).await;
    }

    /// Waits until the port must be open, or closed.
    pub(crate) async fn wait_open(&self, open: bool) {
        // The sender lives in `self`.
        let _ = self.open.subscribe().wait_for(|now| *now == open).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this")
    }
}
