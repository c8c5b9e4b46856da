//! The Hugging Face hub: where it is, what a repository holds, and how a file comes from there.
//!
//! The crate hf-hub tells neither the size nor the hash of a file, drops what the hub says with a
//! refusal, and cannot be told to wait as long as the hub asks; so the few requests are made here.

mod answer;
mod client;
mod download;
mod info;
mod options;

pub(crate) use client::Client;
pub(crate) use download::download;
pub(crate) use info::{Proof, RemoteFile, Repository};
pub(crate) use options::{HubFolders, HubOptions};
