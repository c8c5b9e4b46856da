//! The diffusers folder layout: a model described by its own json files.

pub mod scheduler;
