//! The types of the schema. They are read from the documents of the other interfaces.

use async_graphql::{ID, InputObject, Json, SimpleObject};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use shanshui_pipeline::fields::FieldError;

/// A job that is on its queue, or was sent before.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Accepted {
    id: ID,
    state: String,
    /// Jobs before it.
    place: Option<u64>,
    estimate_seconds: Option<f64>,
    workers: Option<u64>,
}

/// A job that is asked to end.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Canceled {
    id: ID,
    /// What it was when the cancel was requested.
    state: String,
}

/// A job that is erased.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Erasure {
    id: ID,
    erased: Erased,
}

/// How many of each there were.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Erased {
    objects: u64,
    events: u64,
    dead_letters: u64,
    queued: u64,
}

/// One page of jobs.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Jobs {
    jobs: Vec<Listed>,
    /// The `after` of the next page; null on the last one.
    next: Option<String>,
}

/// What a page tells of a job; `job` tells the rest.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Listed {
    id: ID,
    /// queued, running, done, failed, canceled or no-speech.
    state: String,
    created: Option<String>,
    lane: Option<String>,
    labels: Option<Json<Value>>,
    /// Jobs before it while it waits.
    place: Option<u64>,
    estimate_seconds: Option<f64>,
    workers: Option<u64>,
}

/// All that is known of a job.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Job {
    id: ID,
    /// queued, running, done, failed, canceled or no-speech.
    state: String,
    created: Option<String>,
    lane: Option<String>,
    labels: Option<Json<Value>>,
    /// Jobs before it while it waits.
    place: Option<u64>,
    estimate_seconds: Option<f64>,
    workers: Option<u64>,
    updated: Option<String>,
    transcript: Option<Transcript>,
    pictures: Option<Vec<Picture>>,
    stages: Option<Json<Value>>,
    total_seconds: Option<f64>,
    /// Why it has no result.
    error: Option<Reason>,
    /// The receipt of a job that is done.
    receipt: Option<Json<Value>>,
}

/// The words of a recording.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Transcript {
    text: String,
    language: Option<String>,
}

/// A picture; `GET url` has its bytes.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Picture {
    index: u32,
    width: u32,
    height: u32,
    /// A whole number of 64 bits.
    #[serde(deserialize_with = "as_text")]
    seed: ID,
    sha256: String,
    r#type: String,
    url: String,
}

/// Why a job has no result.
#[derive(SimpleObject, Deserialize)]
pub(super) struct Reason {
    code: String,
    reason: String,
}

/// An event of a job.
#[derive(SimpleObject)]
pub(super) struct Event {
    /// What to resume behind; null where the event is not kept.
    pub(super) sequence: Option<ID>,
    pub(super) kind: String,
    /// CloudEvents 1.0.
    pub(super) event: Json<Value>,
}

/// A text to paint, with the fields of the contract.
#[derive(InputObject, Serialize)]
pub(super) struct Draw {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<PictureSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Json<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<String>,
}

/// How it is painted.
#[derive(InputObject, Serialize)]
pub(super) struct PictureSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guidance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    negative: Option<String>,
    /// A whole number of 64 bits, as a number or as text.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    seed: Option<ID>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampler: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syntax: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loras: Option<Json<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
}

impl Draw {
    /// The fields of the job.
    pub(super) fn fields(&self) -> Result<rmpv::Value, FieldError> {
        let fields = serde_json::to_value(self).and_then(serde_json::from_value);
        fields.map_err(|error| FieldError::new("job", error, "the fields of a job"))
    }
}

fn as_text<'de, D: Deserializer<'de>>(from: D) -> Result<ID, D::Error> {
    u64::deserialize(from).map(|seed| seed.to_string().into())
}

fn as_number<S: Serializer>(seed: &Option<ID>, to: S) -> Result<S::Ok, S::Error> {
    let seed = seed.as_ref().map_or("", |seed| seed.as_str());
    match seed.parse::<u64>() {
        Ok(number) => to.serialize_u64(number),
        // The contract says what is allowed.
        Err(_) => to.serialize_str(seed),
    }
}
