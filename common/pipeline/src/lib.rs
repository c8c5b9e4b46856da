#![doc = include_str!("../README.md")]

pub use shanshui_contract::{
    asyncapi, audio, code, event, fields, id, job, key, made, names, picture, schema, step, text, trace, wire,
};

mod causes;
pub mod config;
pub mod context;
pub mod delivery;
mod ending;
pub mod events;
pub mod failure;
pub mod health;
pub mod http;
pub mod lease;
pub mod model_thread;
pub mod queue;
pub mod reconcile;
pub mod serve;
pub mod shutdown;
pub mod stage;
pub mod store;
pub mod telemetry;
pub mod testkit;
pub mod worker;

pub use causes::causes;
pub use context::Context;
pub use failure::{Failure, OrFailure};
pub use lease::Progress;
pub use model_thread::ModelThread;
pub use queue::Queue;
pub use serve::{Layout, Offer, Serve};
pub use shanshui_contract::{Code, Event, Job, JobId, JobMeta, Made, ObjectKey, Step};
pub use stage::{Outcome, Stage};
pub use store::Store;
pub use worker::{Env, run};
