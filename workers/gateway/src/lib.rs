//! The HTTP door: it turns requests into jobs, and events and objects into answers.
//!
//! A gateway owns no state. It publishes jobs, reads events and passes objects on, so any number of
//! gateways may run beside each other. What it remembers it can lose: how many jobs a key sent in the
//! last minute, and which A1111 request is in work.

mod a1111;
mod body;
mod capabilities;
mod crew;
mod error;
mod gateway;
#[cfg(feature = "graphql")]
mod graphql;
#[cfg(feature = "grpc")]
mod grpc;
mod guard;
mod hub;
mod jobs;
mod keys;
mod links;
mod openai;
mod openapi;
mod options;
mod page;
mod rate;
mod room;
mod routes;
mod seats;
mod server;
mod site;
mod sockets;
mod speak;
pub mod topology;
mod wait;
mod webhooks;
mod wyoming;

pub use gateway::{Parts, Vocabulary, serve};
pub use options::GatewayOptions;
