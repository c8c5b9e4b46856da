//! Sees to it that every accepted job ends: ends those that ran out of deliveries, and counts.

pub mod advisory;
pub mod audit;
mod ledger;
mod mover;

pub use audit::{Audit, Doubt, Report};
pub use mover::{Mover, Suspects};
