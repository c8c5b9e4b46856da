//! Servers, workers and clients for the tests; everything ends with its value. Nothing of the
//! product's own code: it is met as a program, as subjects and as objects.

pub mod chaos;
mod client;
pub mod collector;
mod disk;
pub mod door;
mod faults;
pub mod hub;
mod nats;
mod objects;
mod pages;
mod paths;
pub mod png;
mod process;
mod proxy;
mod receiver;
mod serving;
mod stack;
mod steps;
mod story;
mod wait;

pub use client::{Client, Dead, Job};
pub use disk::Disk;
pub use door::Door;
pub use faults::{Faults, Made};
pub use nats::Nats;
pub use objects::{ACCESS_KEY, BUCKET, Objects, SECRET_KEY, client_of, sha256};
pub use pages::Pages;
pub use paths::{
    clean, clip, faketime, nats_server, picture_model, python, recording, root, scratch, script, shanshui, use_program,
    whisper,
};
pub use process::Process;
pub use proxy::Proxy;
pub use receiver::{Got, Receiver};
pub use stack::{Stack, ends_well, shared};
pub use steps::{Step, steps};
pub use story::Story;
pub use wait::{PATIENCE, until};
