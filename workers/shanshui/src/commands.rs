//! The commands, one module each.

pub(crate) mod audit;
pub(crate) mod dead;
pub(crate) mod draw;
pub(crate) mod erase;
pub(crate) mod gateway;
pub(crate) mod gpus;
pub(crate) mod intake;
pub(crate) mod jobs;
pub(crate) mod models;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod reconcile;
pub(crate) mod say;
pub(crate) mod schema;
pub(crate) mod streams;
pub(crate) mod top;
pub(crate) mod topology;
pub(crate) mod up;
pub(crate) mod work;
