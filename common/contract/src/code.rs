//! Why a job ended or was held up, for machines.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stands beside every `reason`. A client can act on it without reading English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A field of the job, or its recording, cannot be used.
    BadInput,
    /// The recording is not in the bucket.
    NotFound,
    /// The job, its recording or its result is larger than allowed.
    TooLarge,
    /// The job's own `deadline` is over.
    Deadline,
    /// No worker began the job before its `start_before`.
    StartBefore,
    /// One attempt took longer than a worker allows (`--job-seconds`).
    TimeLimit,
    /// The job needs more memory than there is, or than a worker allows.
    OutOfMemory,
    /// No pool has the model that the job names.
    ModelMissing,
    /// The pool of the job has no live worker.
    NoWorker,
    /// The workers that held the job died or lost their leases.
    WorkerLost,
    /// Another job has this name.
    NameUsed,
    /// The worker was told to stop.
    Interrupted,
    /// NATS or the object store does not answer.
    ServiceAway,
    /// Somebody removed the job's message by hand.
    Terminated,
    /// Nobody speaks in the recording.
    NoSpeech,
    /// The work failed, and this version has no better word for it.
    #[default]
    #[serde(other)]
    Failed,
}

impl Code {
    /// The word, as it stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadInput => "bad-input",
            Self::NotFound => "not-found",
            Self::TooLarge => "too-large",
            Self::Deadline => "deadline",
            Self::StartBefore => "start-before",
            Self::TimeLimit => "time-limit",
            Self::OutOfMemory => "out-of-memory",
            Self::ModelMissing => "model-missing",
            Self::NoWorker => "no-worker",
            Self::WorkerLost => "worker-lost",
            Self::NameUsed => "name-used",
            Self::Interrupted => "interrupted",
            Self::ServiceAway => "service-away",
            Self::Terminated => "terminated",
            Self::NoSpeech => "no-speech",
            Self::Failed => "failed",
        }
    }

    /// The code of a word; one that this version does not know is [`Code::Failed`].
    pub fn of(word: &str) -> Self {
        serde_json::from_value(word.into()).unwrap_or_default()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_agree_and_unknown_words_are_read() {
        for code in [Code::BadInput, Code::StartBefore, Code::NoSpeech, Code::Failed, Code::NameUsed] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(Code::of(code.as_str()), code);
        }
        assert_eq!(Code::of("something-newer"), Code::Failed);
    }
}
