//! Sees to it that every accepted job ends: ends those that ran out of deliveries, counts, and
//! erases what need not be kept.

pub mod advisory;
pub mod audit;
mod batch;
mod books;
mod erase;
mod ledger;
mod pools;
mod rescue;
mod retention;
mod select;

pub use audit::{Audit, Discrepancy, Report};
pub use erase::{Erased, Eraser, Standing};
pub use ledger::{lying, waiting};
pub use pools::Watchman;
pub use rescue::{Rescuer, Stranded};
pub use retention::{Retention, Rule};
pub use select::Choice;
