//! The place of a job among those that a worker does at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

/// A place. It is free when all clones are gone, or when one of them says so.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Slot {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Mutex::new(Some(permit))))
    }

    /// Another job may begin: of this one only its end is yet to be told, whatever comes of that.
    pub(super) fn free(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
