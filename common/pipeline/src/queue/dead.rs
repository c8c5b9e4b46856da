//! DEAD: jobs that no retry can help, with the reason, replayable.

use anyhow::{Context as _, bail};
use async_nats::HeaderMap;
use bytes::Bytes;

use super::Queue;
use super::publish::{Outgoing, Submitted, size};
use super::raw::Ask;
use crate::code::Code;
use crate::names::{self, JOB_HEADER, MESSAGE_ID, PASSED_HEADER, REPLAY_HEADER, SPENT_HEADER};

const SUBJECT: &str = "Shanshui-Subject";
const REASON: &str = "Shanshui-Reason";
const CODE: &str = "Shanshui-Code";
/// Most bytes that are kept of a job that can never succeed: one sender must not fill the disk.
const MAX_WRONG: usize = 256 * 1024;
const WORKER: &str = "Shanshui-Worker";
const ATTEMPTS: &str = "Shanshui-Attempts";
/// Bytes of a payload that did not fit beside the reason; only its beginning is there.
const CUT: &str = "Shanshui-Cut";
const CONTENT_TYPE: &str = "Content-Type";
/// Most bytes of a sender's headers: JetStream takes 64 KiB, ours among them.
const MAX_HEADERS: usize = 60 * 1024;
/// Longest reason in a header, in characters.
const MAX_REASON: usize = 500;

/// Why and by whom a job is buried.
#[derive(Debug)]
pub struct Burial<'a> {
    /// Stage that gave up.
    pub stage: &'a str,
    /// The job.
    pub job: &'a str,
    /// Worker that gave up.
    pub worker: &'a str,
    /// The word for machines.
    pub code: Code,
    /// Why.
    pub reason: &'a str,
    /// Attempts made.
    pub attempts: u64,
    /// Sequence of the message in the stage's stream.
    pub sequence: u64,
}

/// The message that is copied.
#[derive(Debug)]
pub struct Original<'a> {
    /// The subject it came in on.
    pub subject: &'a str,
    /// Its headers.
    pub headers: Option<&'a HeaderMap>,
    /// The job.
    pub payload: &'a Bytes,
}

/// A buried job.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its place in DEAD.
    pub sequence: u64,
    /// When it was buried, RFC 3339.
    pub time: String,
    /// The job.
    pub job: String,
    /// The subject it came in on.
    pub subject: String,
    /// The word for machines.
    pub code: Code,
    /// Why.
    pub reason: String,
    /// Worker that gave up.
    pub worker: String,
    /// Attempts made.
    pub attempts: u64,
    /// Its headers, those above left out.
    pub headers: HeaderMap,
    /// The job as it came.
    pub payload: Bytes,
}

impl Queue {
    /// Copies a message to DEAD and waits until it is there; only then may the original go. One
    /// that was as large as may be leaves what does not fit beside the reason: first its headers,
    /// then the end of its payload.
    pub async fn bury(&self, burial: &Burial<'_>, original: &Original<'_>) -> anyhow::Result<()> {
        let limit = Some(self.max_payload()).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut headers = original.headers.cloned().unwrap_or_default();
        let mut payload = original.payload.clone();
        if size(&headers) > MAX_HEADERS || size(&headers) + payload.len() > limit {
            headers = our_own(&headers);
        }
        let hopeless = matches!(burial.code, Code::BadInput | Code::TooLarge | Code::NameUsed);
        let limit = if hopeless { limit.min(MAX_WRONG) } else { limit };
        if payload.len() > limit {
            headers.insert(CUT, payload.len().to_string());
            payload.truncate(limit);
        }
        headers.insert(JOB_HEADER, burial.job);
        headers.insert(SUBJECT, self.names.published(original.subject));
        headers.insert(CODE, burial.code.as_str());
        headers.insert(REASON, one_line(burial.reason));
        headers.insert(WORKER, burial.worker);
        headers.insert(ATTEMPTS, burial.attempts.to_string());
        let replay = headers.get(REPLAY_HEADER).map_or("0", |value| value.as_str());
        let message_id = format!("{}/dead/{}/{}/{replay}", burial.job, burial.stage, burial.sequence);
        let subject = self.names.dead(burial.stage, names::lane(original.subject));
        self.publish_surely(Outgoing { subject, message_id, headers, payload }).await
    }

    /// All buried jobs, oldest first.
    pub async fn dead(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let (mut all, mut from) = (Vec::new(), 1);
        while let Some(message) = self.next("DEAD", &self.names.dead("*", "*"), from).await? {
            from = message.sequence + 1;
            all.push(letter(message.sequence, message.time, message.headers, message.payload));
        }
        Ok(all)
    }

    /// One buried job.
    pub async fn dead_letter(&self, sequence: u64) -> anyhow::Result<DeadLetter> {
        let name = self.names.stream("DEAD");
        let message = self.read(&name, Ask::At { seq: sequence }).await?;
        let message = message.with_context(|| format!("no dead letter {sequence} in stream {name}"))?;
        Ok(letter(message.sequence, message.time, message.headers, message.payload))
    }

    /// Puts a buried job back on its queue; only when it is there, it leaves DEAD.
    pub async fn replay(&self, sequence: u64) -> anyhow::Result<Submitted> {
        let DeadLetter { job, subject, mut headers, payload, .. } = self.dead_letter(sequence).await?;
        if let Some(bytes) = headers.get(CUT) {
            bail!("dead letter {sequence} is only the beginning of {bytes} bytes: have job {job} sent again");
        }
        let replay = headers.get(REPLAY_HEADER).and_then(|value| value.as_str().parse().ok()).unwrap_or(0u32) + 1;
        headers.insert(REPLAY_HEADER, replay.to_string());
        headers.insert(JOB_HEADER, job.as_str());
        let message_id = format!("{job}/replay/{replay}/{sequence}");
        let submitted = self.publish(Outgoing { subject, message_id, headers, payload }).await?;
        let stream = self.context.get_stream_no_info(self.names.stream("DEAD")).await?;
        stream.delete_message(sequence).await.context("the job is queued again, but still in DEAD as well")?;
        Ok(submitted)
    }
}

/// Headers that a letter has besides those of its job.
const OWN: [&str; 9] = [JOB_HEADER, SUBJECT, CODE, REASON, WORKER, ATTEMPTS, MESSAGE_ID, SPENT_HEADER, PASSED_HEADER];

fn letter(sequence: u64, time: time::OffsetDateTime, headers: HeaderMap, payload: Bytes) -> DeadLetter {
    let take = |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    let (job, subject, reason, worker) = (take(JOB_HEADER), take(SUBJECT), take(REASON), take(WORKER));
    let code = Code::of(&take(CODE));
    let attempts = take(ATTEMPTS).parse().unwrap_or(0);
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let name = name.to_string();
        if !OWN.contains(&name.as_str()) {
            values.iter().for_each(|value| kept.append(name.as_str(), value.clone()));
        }
    }
    let time = time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    DeadLetter { sequence, time, job, subject, code, reason, worker, attempts, headers: kept, payload }
}

/// What a replay cannot do without.
fn our_own(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::new();
    for name in [JOB_HEADER, REPLAY_HEADER, CONTENT_TYPE] {
        if let Some(value) = headers.get(name).filter(|value| value.as_str().len() <= MAX_REASON) {
            own.insert(name, value.clone());
        }
    }
    own
}

/// A header value must not hold a line break.
fn one_line(reason: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let plain = |c: char| if breaks(c) { ' ' } else { c };
    reason.chars().map(plain).take(MAX_REASON).collect()
}
