//! Names of streams, subjects and consumers.

use crate::job::JobId;

/// The prefix of the contract's own names.
const DEFAULT: &str = "shanshui";

/// Header with the job's name when the payload is raw.
pub const JOB_HEADER: &str = "Shanshui-Job";
/// Header that counts how often the job was taken out of DEAD again.
pub const REPLAY_HEADER: &str = "Shanshui-Replay";
/// Header of a job that is queued again: attempts made with the messages before this one.
pub const SPENT_HEADER: &str = "Shanshui-Spent";
/// Header of JetStream's deduplication.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";

/// All names that start with one prefix.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names for `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// A stream: `AUDIO`, or `other_AUDIO` beside it on the same account.
    pub fn stream(&self, name: &str) -> String {
        if self.prefix == DEFAULT { name.to_owned() } else { format!("{}_{name}", self.prefix) }
    }

    /// A subject of the queue `audio` or `text`.
    pub fn job(&self, queue: &str, lane: &str) -> String {
        format!("{}.{queue}.{lane}", self.prefix)
    }

    /// An event of a job; `>` for all of them.
    pub fn event(&self, job: &JobId, kind: &str) -> String {
        format!("{}.events.{job}.{kind}", self.prefix)
    }

    /// The subject on which a job is taken back.
    pub fn cancel(&self, job: &str) -> String {
        format!("{}.cancel.{job}", self.prefix)
    }

    /// Where a stage buries.
    pub fn dead(&self, stage: &str) -> String {
        format!("{}.dead.{stage}", self.prefix)
    }

    /// Everything below one kind of subject.
    pub fn all(&self, kind: &str) -> String {
        format!("{}.{kind}.>", self.prefix)
    }
}

/// The lane of a job's subject, its last token.
pub fn lane(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or("default")
}
