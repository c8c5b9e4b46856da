//! Names of streams, subjects, consumers and headers.

use crate::id::JobId;

/// The prefix of the contract's own names.
const DEFAULT: &str = "shanshui";

/// Header with the job's name when the payload is raw.
pub const JOB_HEADER: &str = "Shanshui-Job";
/// Header that counts how often the job was taken out of DEAD again.
pub const REPLAY_HEADER: &str = "Shanshui-Replay";
/// Header of a job that is queued again: attempts made with the messages before this one.
pub const SPENT_HEADER: &str = "Shanshui-Spent";
/// Header of a job that a worker of another pool passed on.
pub const PASSED_HEADER: &str = "Shanshui-Passed-On";
/// Header of the last word on a job: its lane, for as long as the word is kept.
pub const LANE_HEADER: &str = "Shanshui-Lane";
/// Header of JetStream's deduplication.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";

/// The pool of every job that names none.
pub const DEFAULT_POOL: &str = "default";
/// In place of a lane, where a cancel is meant for every lane; no lane is called so.
pub const ANY_LANE: &str = "=";
/// Partitions over which the lanes of a default pool are spread.
pub const PARTITIONS: u32 = 4;

/// All names that start with one prefix.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names for `prefix`, which is one token.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// A stream: `AUDIO`, or `other_AUDIO` beside it on the same account.
    pub fn stream(&self, name: &str) -> String {
        if self.prefix == DEFAULT { name.to_owned() } else { format!("{}_{name}", self.prefix) }
    }

    /// A subject of the queue `audio` or `text`: the default pool.
    pub fn job(&self, queue: &str, lane: &str) -> String {
        format!("{}.{queue}.{lane}", self.prefix)
    }

    /// A subject of a queue, for a pool.
    pub fn job_in(&self, queue: &str, lane: &str, pool: &str) -> String {
        if pool == DEFAULT_POOL { self.job(queue, lane) } else { format!("{}.{queue}.{lane}.{pool}", self.prefix) }
    }

    /// What one consumer of a pool takes. The stream stores the jobs of the default pool with two
    /// more tokens: the pool, and the partition of the lane.
    pub fn filter(&self, queue: &str, pool: &str, partition: Option<u32>) -> String {
        match partition {
            Some(partition) => format!("{}.{queue}.*.{pool}.{partition}", self.prefix),
            None => format!("{}.{queue}.*.{pool}", self.prefix),
        }
    }

    /// Where the stream of a queue stores the jobs of the default pool: a subject transform of
    /// nats-server, from and to.
    pub fn spread(&self, queue: &str) -> (String, String) {
        let prefix = &self.prefix;
        let to = format!("{prefix}.{queue}.{{{{wildcard(1)}}}}.{DEFAULT_POOL}.{{{{partition({PARTITIONS},1)}}}}");
        (self.job(queue, "*"), to)
    }

    /// The subject that a client published a stored job on.
    pub fn published(&self, subject: &str) -> String {
        match subject.split('.').collect::<Vec<_>>()[..] {
            [_, queue, lane, DEFAULT_POOL, _] => self.job(queue, lane),
            _ => subject.to_owned(),
        }
    }

    /// An event of a job; `>` for all of them.
    pub fn event(&self, job: &JobId, kind: &str) -> String {
        format!("{}.events.{job}.{kind}", self.prefix)
    }

    /// An event of any job.
    pub fn any_event(&self, kind: &str) -> String {
        format!("{}.events.*.{kind}", self.prefix)
    }

    /// The last word on a job's run after `run` ways out of DEAD; the stream keeps the first one.
    pub fn ended(&self, job: &str, run: &str) -> String {
        format!("{}.ended.{job}.{run}", self.prefix)
    }

    /// The subject on which a job is canceled, whatever its lane.
    pub fn cancel(&self, job: &str) -> String {
        format!("{}.cancel.{job}", self.prefix)
    }

    /// The subject on which a job is canceled if it is in this lane: what an account may publish that
    /// has a lane of its own. The stream keeps all cancels so.
    pub fn cancel_in(&self, job: &str, lane: &str) -> String {
        format!("{}.cancel.{job}.{lane}", self.prefix)
    }

    /// Where the stream stores the cancels of any lane: a subject transform of nats-server.
    pub fn spread_cancels(&self) -> (String, String) {
        (self.cancel("*"), self.cancel_in("{{wildcard(1)}}", ANY_LANE))
    }

    /// Where a stage buries the jobs of a lane.
    pub fn dead(&self, stage: &str, lane: &str) -> String {
        format!("{}.dead.{stage}.{lane}", self.prefix)
    }

    /// Where a store tells of its bucket; each intake has a name.
    pub fn intake(&self, name: &str) -> String {
        format!("{}.intake.{name}", self.prefix)
    }

    /// Where it is kept that somebody wants to be told of a job's end.
    pub fn webhook(&self, job: &str) -> String {
        format!("{}.webhook.{job}", self.prefix)
    }

    /// The queue of what is to be told: the ends of jobs whose senders want to know.
    pub fn webhook_in(&self, lane: &str, job: &str) -> String {
        format!("{}.webhook.{lane}.{job}", self.prefix)
    }

    /// Where a worker says what it is.
    pub fn worker(&self, stage: &str, name: &str) -> String {
        format!("{}.worker.{stage}.{name}", self.prefix)
    }

    /// Where the reconciler keeps what it knows.
    pub fn state(&self, of: &str) -> String {
        format!("{}.state.{of}", self.prefix)
    }
}

/// Consumers of a pool, with the partition that each takes. A default pool has one for each
/// partition; the one that takes the lane `default` has the plain name of the stage.
pub fn consumers(stage: &str, pool: &str) -> Vec<(String, Option<u32>)> {
    if pool != DEFAULT_POOL {
        return vec![(format!("{stage}-{pool}"), None)];
    }
    let plain = partition_of("default", PARTITIONS);
    let name = |turn: u32| if turn == 0 { stage.to_owned() } else { format!("{stage}_{turn}") };
    (0..PARTITIONS).map(|turn| (name(turn), Some((plain + turn) % PARTITIONS))).collect()
}

/// The consumer of an intake, on the stream of bucket events and on that of the ends of jobs.
pub fn intake_consumer(name: &str) -> String {
    if name == DEFAULT_POOL { "intake".to_owned() } else { format!("intake-{name}") }
}

/// A name as one token of a subject.
pub fn token(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    name.chars().take(64).map(plain).collect()
}

/// The partition of a lane, as nats-server computes it: FNV-1a of 32 bits.
pub fn partition_of(lane: &str, partitions: u32) -> u32 {
    let hash = lane.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % partitions
}

/// The lane of a job's subject.
pub fn lane(subject: &str) -> &str {
    subject.split('.').nth(2).unwrap_or("default")
}

/// The pool of a job's subject.
pub fn pool(subject: &str) -> &str {
    subject.split('.').nth(3).unwrap_or(DEFAULT_POOL)
}

/// Whether `name` can be a pool: one token, and no word that has a meaning.
pub fn is_pool(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
}

/// Whether `name` can be a lane: one token.
pub fn is_lane(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_spread_as_nats_server_spreads_them() {
        // Observed on nats-server 2.11.11, 2.12.7 and 2.15.1 with partition(4,1).
        let seen = ["default", "a", "b", "tenant-1"].map(|lane| partition_of(lane, 4));
        assert_eq!(seen, [2, 0, 1, 3]);
    }

    #[test]
    fn a_stored_subject_tells_lane_pool_and_what_was_published() {
        let names = Names::new("shanshui");
        let stored = "shanshui.text.gold.default.3";
        assert_eq!((lane(stored), pool(stored)), ("gold", "default"));
        assert_eq!(names.published(stored), "shanshui.text.gold");
        assert_eq!(names.published("shanshui.text.gold.sdxl"), "shanshui.text.gold.sdxl");
        assert_eq!((lane("shanshui.text.gold.sdxl"), pool("shanshui.text.gold.sdxl")), ("gold", "sdxl"));
    }

    #[test]
    fn the_lane_default_is_taken_by_the_consumer_with_the_plain_name() {
        let all = consumers("paint", DEFAULT_POOL);
        assert_eq!(all[0], ("paint".to_owned(), Some(partition_of("default", PARTITIONS))));
        assert_eq!(all.len(), 4);
        assert_eq!(consumers("paint", "sdxl"), vec![("paint-sdxl".to_owned(), None)]);
    }
}
