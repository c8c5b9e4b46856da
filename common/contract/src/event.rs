//! What a job tells the world: CloudEvents 1.0 in structured JSON, on `…events.<job>.<kind>`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::code::Code;
use crate::id::{JobId, sha256_hex};
use crate::trace::TraceContext;

/// One event; the variant's name in kebab case is its kind. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are named for what they hold; docs/contract.md describes them")]
pub enum Event {
    /// A worker has seen the job for the first time. Told once for every run of it.
    Accepted {
        stage: String,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        lane: String,
        /// How often the job was taken out of DEAD before.
        #[serde(default)]
        run: u32,
        /// Digest of the message, so that another job under the same name is noticed.
        #[serde(default)]
        digest: String,
    },
    /// Where the job waits.
    Queued {
        stage: String,
        pool: String,
        /// Jobs before it in its partition of the pool.
        place: u64,
        /// Estimated wait, from what recent jobs took; absent where nothing is known yet.
        seconds: Option<f64>,
        /// Workers of the pool that were seen; with none the job waits until one starts.
        workers: u64,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        lane: String,
        /// Digest of the message as in `accepted`, where the teller published it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
    },
    /// A worker has begun. Attempts count from 1; interrupted ones do not count.
    Started { stage: String, worker: String, attempt: u64 },
    /// Part of the work is done, in units of the stage: seconds of audio, denoising steps.
    Progress { stage: String, done: f64, total: f64, eta: Option<f64> },
    /// Words while they are heard, for people who watch. It is not kept, and `transcript` counts.
    Partial {
        /// Which part of the words this is, from 0 in each attempt. A part comes after all before it.
        part: u32,
        /// The whole part so far, with its spaces. It takes the place of what was told of this part
        /// before; empty if nothing of that is left.
        text: String,
        /// This attempt does not change the part any more, and the next one follows.
        settled: bool,
        /// Whisper's code of the language spoken.
        language: String,
    },
    /// The words are there.
    Transcript {
        text: String,
        /// Whisper's code of the language spoken.
        language: String,
        key: String,
        seconds: f64,
        /// What was not heard, if the recording was cut off or damaged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incomplete: Option<String>,
        /// What was read as wishes, if the job asked for it: the text without them, settings, words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        voice: Option<Value>,
    },
    /// One picture is there.
    Picture { index: u32, key: String, sha256: String, seed: u64, width: u32, height: u32 },
    /// A coarse picture of work in progress: PNG as base64. It is not kept.
    Preview { index: u32, step: u32, steps: u32, width: u32, height: u32, png: String },
    /// A stage has done its part of the job.
    Finished {
        stage: String,
        seconds: f64,
        /// Digest of what goes on to the next stage; at the last stage of what was made.
        #[serde(default)]
        made: String,
    },
    /// A worker of another pool handed the job on to the pool that its model names.
    PassedOn { stage: String, pool: String, workers: u64 },
    /// An attempt failed and counts; the job comes back.
    Retrying {
        stage: String,
        attempt: u64,
        #[serde(default)]
        code: Code,
        reason: String,
        delay: f64,
    },
    /// An attempt ended that does not count: the worker stopped, or a service was away.
    Released {
        stage: String,
        #[serde(default)]
        code: Code,
        reason: String,
        /// Sequence of the job's message in its stream.
        #[serde(default)]
        message: u64,
        /// Which delivery of that message it was, from 1.
        #[serde(default)]
        delivery: u64,
    },
    /// Another job came under a name that is in use. It was put into DEAD and is not worked on.
    Refused {
        stage: String,
        code: Code,
        reason: String,
        /// Sequence of the refused message in its stream.
        message: u64,
    },
    /// Final: the job is complete. `key` is the receipt.
    Done { stage: String, key: Option<String>, seconds: f64 },
    /// Final: the job is in DEAD.
    Failed {
        stage: String,
        #[serde(default)]
        code: Code,
        reason: String,
        attempts: u64,
    },
    /// Final: its sender canceled it.
    Canceled { stage: String },
    /// Final: nobody spoke.
    NoSpeech {
        #[serde(default)]
        stage: String,
        reason: String,
    },
}

/// Kinds of the events that end a run of a job; exactly one comes.
pub const FINAL_KINDS: [&str; 4] = ["done", "failed", "canceled", "no-speech"];

/// Kinds that no stream keeps. They are worth nothing once the next one is there: whoever listens
/// gets them, and no disk is asked.
pub const PASSING_KINDS: [&str; 3] = ["progress", "preview", "partial"];

/// Kinds that the stream keeps: all others.
pub const KEPT_KINDS: [&str; 14] = [
    "accepted",
    "queued",
    "started",
    "transcript",
    "picture",
    "finished",
    "passed-on",
    "retrying",
    "released",
    "refused",
    "done",
    "failed",
    "canceled",
    "no-speech",
];

impl Event {
    /// Last token of the subject.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Queued { .. } => "queued",
            Self::Started { .. } => "started",
            Self::Progress { .. } => "progress",
            Self::Partial { .. } => "partial",
            Self::Transcript { .. } => "transcript",
            Self::Picture { .. } => "picture",
            Self::Preview { .. } => "preview",
            Self::Finished { .. } => "finished",
            Self::PassedOn { .. } => "passed-on",
            Self::Retrying { .. } => "retrying",
            Self::Released { .. } => "released",
            Self::Refused { .. } => "refused",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Canceled { .. } => "canceled",
            Self::NoSpeech { .. } => "no-speech",
        }
    }

    /// What `accepted` says of a payload: tells another job under the same name from the same one.
    pub fn digest(payload: &[u8]) -> String {
        sha256_hex(payload)[..16].to_owned()
    }

    /// Whether the job has ended.
    pub fn is_final(&self) -> bool {
        FINAL_KINDS.contains(&self.kind())
    }

    /// What makes the event the same one when it is told again; `None` where every telling is
    /// news.
    pub fn identity(&self) -> Option<String> {
        match self {
            event if event.is_final() => Some("final".into()),
            Self::Accepted { .. } | Self::Transcript { .. } => Some(self.kind().into()),
            // Attempts that made something else say so; those that made the same say it once.
            Self::Finished { stage, made, .. } => Some(format!("finished/{stage}/{}", made.get(..16).unwrap_or(made))),
            Self::Picture { index, .. } => Some(format!("picture/{index}")),
            Self::Released { stage, message, delivery, .. } => Some(format!("released/{stage}/{message}/{delivery}")),
            Self::Refused { stage, message, .. } => Some(format!("refused/{stage}/{message}")),
            _ => None,
        }
    }

    /// The event in an envelope of CloudEvents; `source` names the worker as a URI reference.
    pub fn told<'a>(&'a self, job: &'a JobId, source: &'a str, trace: Option<&'a TraceContext>) -> CloudEvent<'a> {
        let identity = self.identity().unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
        CloudEvent {
            specversion: "1.0",
            id: format!("{job}/{identity}"),
            source,
            kind: format!("shanshui.job.{}.v1", self.kind()),
            subject: job.as_str(),
            time: now(),
            datacontenttype: "application/json",
            data: self,
            traceparent: trace.map(ToString::to_string),
            tracestate: trace.and_then(|trace| trace.state.as_deref()),
        }
    }

    /// The event as a last word lies on its stream.
    pub fn word(&self, job: &JobId, source: &str) -> Envelope {
        Envelope { subject: job.to_string(), time: now(), source: source.to_owned(), data: self.clone() }
    }
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// An event about to be published: CloudEvents 1.0, with the attributes of its extension for distributed tracing.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    /// The same for the same event, where it has an identity.
    pub id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
}

impl CloudEvent<'_> {
    /// As it is published.
    pub fn json(&self) -> Vec<u8> {
        // Strings, numbers and maps with keys of text: that does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// An event as it lies on the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The job.
    pub subject: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// Who says so.
    pub source: String,
    /// What happened.
    pub data: Event,
}

impl Envelope {
    /// The event in `payload`, if it is one, about this job, from a part of the pipeline.
    pub fn read(payload: &[u8], job: &JobId) -> Option<Self> {
        let envelope: Self = serde_json::from_slice(payload).ok()?;
        (envelope.subject == job.as_str() && envelope.source.starts_with("/shanshui/")).then_some(envelope)
    }
}
