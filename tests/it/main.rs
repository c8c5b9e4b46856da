//! The pipeline from outside: a real nats-server, the S3 protocol, workers as processes, and
//! clients that know the contract but none of our code.

mod bad_input;
mod cancel;
mod clients;
mod command_line;
mod connections;
mod crash;
mod examples;
mod extremes;
mod forms;
mod gateway;
mod idle;
mod intake;
mod models;
mod page;
mod python;
mod retention;
mod rows;
mod security;
mod sharing;
mod speech;
mod start;
mod stores;
mod text;
mod traces;
mod watching;
mod zombie;
