//! What the stage knows of the jobs that its model works on.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use shanshui_pipeline::lease::Progress;
use tracing::Span;

use crate::batcher::Watch;
use crate::model::Model;
use crate::paint;
use crate::preview::{Previews, Sketch};

/// Tells an attempt of its pictures, from the thread of the model.
pub(crate) struct Follower {
    pub(crate) progress: Arc<Progress>,
    /// Whether the attempt is to stop.
    pub(crate) stopped: Box<dyn Fn() -> bool + Send>,
    pub(crate) previews: Previews,
    /// When the first picture began.
    pub(crate) begun: Arc<OnceLock<Instant>>,
    /// The wait for it.
    pub(crate) turn: Option<Span>,
}

impl Watch for Follower {
    fn begins(&mut self) {
        self.turn = None;
        self.progress.touch();
        let _ = self.begun.set(Instant::now());
    }

    fn is_stopped(&self) -> bool {
        (self.stopped)()
    }

    fn report(&mut self, at: paint::Progress) {
        self.progress.report(at.done as f64, at.total as f64);
    }

    fn show(&mut self, model: &Model, sketch: Sketch<'_>) {
        self.previews.show(model, sketch);
    }
}

/// The jobs whose pictures are not finished.
#[derive(Debug, Default)]
pub(crate) struct Load {
    jobs: Mutex<Vec<Share>>,
}

/// Pictures of a job, and when the first of them began.
type Share = (usize, Arc<OnceLock<Instant>>);

/// One of them, until it is dropped.
pub(crate) struct Loaded {
    load: Arc<Load>,
    /// When its first picture began.
    pub(crate) begun: Arc<OnceLock<Instant>>,
}

impl Load {
    pub(crate) fn add(self: &Arc<Self>, pictures: usize) -> Loaded {
        let begun = Arc::default();
        self.jobs().push((pictures, Arc::clone(&begun)));
        Loaded { load: Arc::clone(self), begun }
    }

    /// Whether a further job could begin at once in a batch of so many pictures. One that waits says that it
    /// could not.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        let jobs = self.jobs();
        let pictures: usize = jobs.iter().map(|(pictures, _)| pictures).sum();
        pictures < most && jobs.iter().all(|(_, begun)| begun.get().is_some())
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Share>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.load.jobs().retain(|(_, begun)| !Arc::ptr_eq(begun, &self.begun));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_while_all_have_begun_and_their_pictures_are_few() {
        let load = Arc::<Load>::default();
        assert!(load.has_room(1));
        let first = load.add(2);
        assert!(!load.has_room(4), "it has not begun: another one would wait as well");
        first.begun.set(Instant::now()).unwrap();
        assert!(load.has_room(4) && !load.has_room(2));
        let second = load.add(1);
        second.begun.set(Instant::now()).unwrap();
        assert!(load.has_room(4) && !load.has_room(3));
        drop(first);
        assert!(load.has_room(2) && !load.has_room(1));
    }
}
