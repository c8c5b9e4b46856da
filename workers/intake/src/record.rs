//! What an intake writes down of a recording that it took, before it publishes the job: whoever comes
//! after it publishes the same job, and knows where the results belong.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::store::{Look, ObjectKey};
use shanshui_pipeline::{Failure, JobId, OrFailure};

/// What the names of its jobs begin with.
pub(crate) const NAMES: &str = "in-";
/// Largest record that is read, in bytes.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// The content of `jobs/<job>/intake.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// Name of the intake.
    pub(crate) intake: String,
    pub(crate) lane: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) object_version: Option<String>,
    pub(crate) etag: String,
    /// Whether settings lay beside the recording.
    pub(crate) sidecar: bool,
    /// The job as it is published.
    pub(crate) job: Value,
}

impl Record {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(bytes).context("intake.json is no record of an intake").or_reject()
    }
}

/// Where the record of a job lies.
pub(crate) fn key(job: &JobId) -> ObjectKey<'_> {
    ObjectKey::Record { job, stage: "intake" }
}

/// The name of the job of an object: the same for every event of it and for every look at it. It holds
/// what a store says of any object; a sequencer is only in events, and so is in no name.
pub(crate) fn job_of(bucket: &str, look: &Look) -> Result<JobId, Failure> {
    let all = json!([bucket, look.key, look.version, look.etag, look.modified]);
    let name = format!("{NAMES}{}", &sha256_hex(all.to_string().as_bytes())[..32]);
    Ok(JobId::parse("id", &name)?)
}
