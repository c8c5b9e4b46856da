//! A lease is held by progress, not by a timer.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::watch;

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
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::replace(&mut *last, Instant::now()).elapsed()
    }

    /// Time since the last word.
    pub fn silence(&self) -> Duration {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).elapsed()
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
