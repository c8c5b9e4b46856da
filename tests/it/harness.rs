//! Servers, workers and clients for the tests; everything ends with its value.

mod client;
mod nats;
mod objects;
mod paths;
pub(crate) mod png;
mod process;
mod stack;
mod story;
mod wait;

pub(crate) use client::{Client, Job};
pub(crate) use objects::sha256;
pub(crate) use paths::{
    clean, clip, nats_server, picture_model, python, recording, scratch, script, shanshui, whisper,
};
pub(crate) use process::Process;
pub(crate) use stack::{Stack, ends_well, shared};
pub(crate) use story::Story;
pub(crate) use wait::{PATIENCE, until};
