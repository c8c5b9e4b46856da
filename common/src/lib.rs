//! What every stage of the pipeline needs and nothing about models: jobs, events, the queue,
//! the object store and the worker that drives one [`stage::Stage`].

pub mod event;
pub mod failure;
pub mod fields;
pub mod job;
pub mod message;
pub mod picture_spec;
pub mod stage;
pub mod wire;
