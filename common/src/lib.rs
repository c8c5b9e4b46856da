//! What every stage of the pipeline needs and nothing about models: jobs, events, the queue,
//! the object store and the worker that drives one [`stage::Stage`].

pub mod config;
pub mod context;
pub mod delivery;
pub mod event;
pub mod events;
pub mod failure;
pub mod fields;
pub mod health;
pub mod http;
pub mod job;
pub mod lease;
pub mod message;
pub mod model_thread;
pub mod picture_spec;
pub mod queue;
pub mod reconcile;
pub mod shutdown;
pub mod stage;
pub mod store;
pub mod telemetry;
pub mod trace;
pub mod wire;
pub mod worker;
