//! Whether the process lives and is ready, part by part.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the process needs in order to work. Every part is missing until it reports.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    parts: BTreeMap<&'static str, Option<String>>,
    dead: Option<String>,
}

impl Health {
    /// Nothing of `parts` is there yet.
    pub fn new(parts: &[&'static str]) -> Self {
        let parts = parts.iter().map(|part| (*part, Some("not there yet".to_owned()))).collect();
        Self { state: Mutex::new(State { parts, dead: None }) }
    }

    /// The part works.
    pub fn up(&self, part: &'static str) {
        self.state().parts.insert(part, None);
    }

    /// The part does not work, and why: the process is not ready until it does.
    pub fn down(&self, part: &'static str, why: impl ToString) {
        self.state().parts.insert(part, Some(why.to_string()));
    }

    /// The process cannot recover: it wants to be started again.
    pub fn die(&self, why: impl ToString) {
        self.state().dead.get_or_insert(why.to_string());
    }

    /// Why the process should be started again, if it should.
    pub fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// What is missing, as `part: why`; nothing when the process is ready.
    pub fn missing(&self) -> Vec<String> {
        let state = self.state();
        let parts = state.parts.iter();
        let missing = parts.filter_map(|(part, why)| why.as_ref().map(|why| format!("{part}: {why}")));
        state.dead.iter().cloned().chain(missing).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
