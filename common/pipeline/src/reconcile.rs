//! Sees to it that every accepted job ends: ends those that ran out of deliveries, and counts.

pub mod advisory;
pub mod audit;
mod batch;
mod books;
mod ledger;
mod pools;
mod rescue;

pub use audit::{Audit, Discrepancy, Report};
pub use ledger::{lying, waiting};
pub use pools::Watchman;
pub use rescue::{Rescuer, Stranded};
