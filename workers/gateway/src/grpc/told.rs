//! The messages of `proto/shanshui.proto` that tell of jobs. They are read from the documents of the
//! other interfaces.

use std::collections::HashMap;

use prost::Message;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct EraseReply {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) erased: Option<Erased>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Erased {
    #[prost(uint64, tag = "1")]
    pub(super) objects: u64,
    #[prost(uint64, tag = "2")]
    pub(super) events: u64,
    #[prost(uint64, tag = "3")]
    pub(super) dead_letters: u64,
    #[prost(uint64, tag = "4")]
    pub(super) queued: u64,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct ListReply {
    #[prost(message, repeated, tag = "1")]
    pub(super) jobs: Vec<Job>,
    #[prost(string, optional, tag = "2")]
    pub(super) next: Option<String>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) state: String,
    #[prost(string, optional, tag = "3")]
    pub(super) created: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) updated: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(super) lane: Option<String>,
    #[prost(map = "string, string", tag = "6")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) labels: HashMap<String, String>,
    #[prost(message, optional, tag = "7")]
    pub(super) transcript: Option<Transcript>,
    #[prost(message, repeated, tag = "8")]
    pub(super) pictures: Vec<Picture>,
    #[prost(message, repeated, tag = "9")]
    pub(super) stages: Vec<Stage>,
    #[prost(double, optional, tag = "10")]
    pub(super) total_seconds: Option<f64>,
    #[prost(message, optional, tag = "11")]
    pub(super) error: Option<Error>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) place: Option<u64>,
    #[prost(double, optional, tag = "13")]
    pub(super) estimate_seconds: Option<f64>,
    #[prost(uint64, optional, tag = "14")]
    pub(super) workers: Option<u64>,
    #[prost(string, tag = "15")]
    #[serde(rename = "receipt", deserialize_with = "as_json")]
    pub(super) receipt_json: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Transcript {
    #[prost(string, tag = "1")]
    pub(super) text: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) language: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Picture {
    #[prost(uint32, tag = "1")]
    pub(super) index: u32,
    #[prost(uint32, tag = "2")]
    pub(super) width: u32,
    #[prost(uint32, tag = "3")]
    pub(super) height: u32,
    #[prost(uint64, tag = "4")]
    pub(super) seed: u64,
    #[prost(string, tag = "5")]
    pub(super) sha256: String,
    #[prost(string, tag = "6")]
    pub(super) r#type: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Stage {
    #[prost(string, tag = "1")]
    pub(super) stage: String,
    #[prost(double, optional, tag = "2")]
    pub(super) wait_seconds: Option<f64>,
    #[prost(double, optional, tag = "3")]
    pub(super) work_seconds: Option<f64>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) attempts: Option<u64>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Error {
    #[prost(string, tag = "1")]
    pub(super) code: String,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
}

/// What is null is empty.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn as_json<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(if value.is_null() { String::new() } else { value.to_string() })
}
