//! A third stage: enlarges the pictures of a job. `README.md` says how it was added.

pub mod job;
pub mod options;
pub mod resize;
mod stage;

pub use stage::Enlarge;
