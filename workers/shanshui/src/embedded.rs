//! The services that `up` brings along: NATS as a child process, S3 inside this one.

pub(crate) mod credentials;
pub(crate) mod nats_program;
pub(crate) mod nats_server;
pub(crate) mod s3_server;
