//! Settings, one group per concern; a binary flattens the groups that it needs.

mod nats;
mod s3;
mod secret;
mod streams;
mod telemetry;
mod worker;

pub use nats::NatsOptions;
pub(crate) use nats::UrlLogin;
pub use s3::S3Options;
pub use secret::Secret;
pub use streams::{PoolName, StreamSettings};
pub use telemetry::{LogFormat, TelemetryOptions};
pub use worker::WorkerOptions;
