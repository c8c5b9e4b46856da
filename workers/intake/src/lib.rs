//! The bucket as a door: somebody drops a recording, and collects words and pictures.
//!
//! An intake keeps nothing of its own. What it has taken lies in the bucket of the pipeline
//! (`jobs/<job>/intake.json`), what it has to read lies on streams, and the name of a job follows
//! from the object. So it may be killed at any time, and any number of them may run.

pub mod event;
mod inbox;
mod intake;
mod place;
mod poll;
mod record;
mod results;
mod settings;
mod sidecar;
mod take;
pub mod watch;

pub use intake::Intake;
pub use settings::{IntakeOptions, Settings, intake_name};
