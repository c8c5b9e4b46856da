//! What a job tells the world: CloudEvents 1.0 in structured JSON, on `…events.<job>.<kind>`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::job::JobId;

/// One event; the variant's name in kebab case is its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The job is on a queue for good; sent once, by the first worker that sees it.
    Accepted {
        /// Stage at which the job came in.
        stage: String,
        /// The sender's own marks.
        #[serde(default)]
        labels: BTreeMap<String, String>,
    },
    /// A worker has begun.
    Started {
        /// Stage that has begun.
        stage: String,
        /// Name of the worker.
        worker: String,
        /// Counts from 1; interrupted attempts are not counted.
        attempt: u64,
    },
    /// Part of the work is done.
    Progress {
        /// Stage at work.
        stage: String,
        /// Units done (seconds of audio, denoising steps).
        done: f64,
        /// Units in all.
        total: f64,
        /// Seconds to go, as far as one can tell.
        eta: Option<f64>,
    },
    /// The words are there.
    Transcript {
        /// The words.
        text: String,
        /// Language spoken, by its Whisper code.
        language: String,
        /// Object with segments, times and probabilities.
        key: String,
        /// Seconds that the stage took.
        seconds: f64,
    },
    /// One picture is there.
    Picture {
        /// Counts from 0.
        index: u32,
        /// Object with the picture.
        key: String,
        /// SHA-256 of the object.
        sha256: String,
        /// Seed that paints it again.
        seed: u64,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// An attempt failed and counts; the job comes back.
    Retrying {
        /// Stage that failed.
        stage: String,
        /// The attempt that failed.
        attempt: u64,
        /// Why.
        reason: String,
        /// Seconds until it comes back.
        delay: f64,
    },
    /// An attempt ended that does not count: the worker stopped, or a service was away.
    Released {
        /// Stage that let go.
        stage: String,
        /// Why.
        reason: String,
        /// Place of the job's message in its stream.
        #[serde(default)]
        message: u64,
        /// Which delivery of that message it was, from 1.
        #[serde(default)]
        delivery: u64,
    },
    /// Final: the job is complete.
    Done {
        /// Stage that completed it.
        stage: String,
        /// Object that lists all others.
        key: Option<String>,
        /// Seconds that this stage took.
        seconds: f64,
    },
    /// Final: the job is in DEAD.
    Failed {
        /// Stage that gave up.
        stage: String,
        /// Why.
        reason: String,
        /// Attempts made.
        attempts: u64,
    },
    /// Final: its sender took it back.
    Canceled {
        /// Stage that dropped it.
        stage: String,
    },
    /// Final: nobody spoke.
    NoSpeech {
        /// What was heard instead.
        reason: String,
    },
}

/// Kinds of the events that end a job; exactly one comes.
pub const FINAL_KINDS: [&str; 4] = ["done", "failed", "canceled", "no-speech"];

impl Event {
    /// Last token of the subject.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Started { .. } => "started",
            Self::Progress { .. } => "progress",
            Self::Transcript { .. } => "transcript",
            Self::Picture { .. } => "picture",
            Self::Retrying { .. } => "retrying",
            Self::Released { .. } => "released",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Canceled { .. } => "canceled",
            Self::NoSpeech { .. } => "no-speech",
        }
    }

    /// Whether the job has ended.
    pub fn is_final(&self) -> bool {
        FINAL_KINDS.contains(&self.kind())
    }

    /// Whether it is worth a look if it was told before, longer ago than JetStream remembers: the audit
    /// counts runs of a job by the first one.
    pub(crate) fn is_told_once(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Transcript { .. })
    }

    /// `Nats-Msg-Id`, so that a redelivery does not tell the same thing twice; none where every
    /// telling is news.
    pub fn message_id(&self, job: &JobId) -> Option<String> {
        match self {
            event if event.is_final() => Some(format!("{job}/final")),
            Self::Accepted { .. } | Self::Transcript { .. } => Some(format!("{job}/{}", self.kind())),
            Self::Picture { index, .. } => Some(format!("{job}/picture/{index}")),
            Self::Released { stage, message, delivery, .. } => {
                Some(format!("{job}/released/{stage}/{message}/{delivery}"))
            }
            _ => None,
        }
    }

    /// The CloudEvents envelope; `source` names the worker as a URI reference.
    pub fn envelope(&self, job: &JobId, source: &str) -> Value {
        let now = OffsetDateTime::now_utc();
        let id = self.message_id(job).unwrap_or_else(|| format!("{job}/{:016x}", rand::random::<u64>()));
        json!({
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": format!("shanshui.job.{}.v1", self.kind()),
            "subject": job.as_str(),
            "time": now.format(&Rfc3339).unwrap_or_default(),
            "datacontenttype": "application/json",
            "data": self,
        })
    }
}

/// `Nats-Msg-Id` of the final event of a job's run after `replay` ways out of DEAD.
pub(crate) fn final_id(job: &JobId, replay: u32) -> String {
    format!("{job}/final/{replay}")
}

/// An event as it lies on the stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
