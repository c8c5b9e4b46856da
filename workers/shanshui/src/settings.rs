//! Settings: flag over environment over context over file over running instance (else the variables
//! NATS_*) over default.
//!
//! A file's values become the defaults of the flags, so that clap alone decides which value wins
//! and `--help` shows the values in force.

mod check;
mod file;
mod layers;
mod surroundings;

pub(crate) use layers::{Stop, parse};
