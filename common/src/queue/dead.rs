//! DEAD: jobs that no retry can help, with the reason, replayable.

use anyhow::{Context as _, bail};
use async_nats::HeaderMap;
use bytes::Bytes;

use super::names::{JOB_HEADER, MESSAGE_ID, REPLAY_HEADER, SPENT_HEADER};
use super::raw::Ask;
use super::{HEADER_EXTRA, Outgoing, Queue, Submitted};

const SUBJECT: &str = "Shanshui-Subject";
const REASON: &str = "Shanshui-Reason";
const WORKER: &str = "Shanshui-Worker";
const ATTEMPTS: &str = "Shanshui-Attempts";
/// Bytes of a payload that did not fit beside the reason; only its beginning is there.
const CUT: &str = "Shanshui-Cut";
const CONTENT_TYPE: &str = "Content-Type";
/// Most bytes of a sender's headers: JetStream takes 64 KiB, ours among them.
const MAX_HEADERS: usize = 60 * 1024;
/// Longest reason in a header, in characters.
const MAX_REASON: usize = 500;

/// A job about to be buried.
#[derive(Debug)]
pub struct Grave<'a> {
    /// Stage that gave up.
    pub stage: &'a str,
    /// The job.
    pub job: &'a str,
    /// Worker that gave up.
    pub worker: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Attempts made.
    pub attempts: u64,
    /// Place of the message in the stage's stream.
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
    pub async fn bury(&self, grave: &Grave<'_>, original: &Original<'_>) -> anyhow::Result<()> {
        let limit = Some(self.max_payload()).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut headers = original.headers.cloned().unwrap_or_default();
        let mut payload = original.payload.clone();
        if size(&headers) > MAX_HEADERS || size(&headers) + payload.len() > limit {
            headers = our_own(&headers);
        }
        if payload.len() > limit {
            headers.insert(CUT, payload.len().to_string());
            payload.truncate(limit);
        }
        headers.insert(JOB_HEADER, grave.job);
        headers.insert(SUBJECT, original.subject);
        headers.insert(REASON, one_line(grave.reason));
        headers.insert(WORKER, grave.worker);
        headers.insert(ATTEMPTS, grave.attempts.to_string());
        let replay = headers.get(REPLAY_HEADER).map_or("0", |value| value.as_str());
        let message_id = format!("{}/dead/{}/{}/{replay}", grave.job, grave.stage, grave.sequence);
        let subject = self.names.dead(grave.stage);
        self.publish(Outgoing { subject, message_id, headers, payload }).await.map(drop)
    }

    /// All buried jobs, oldest first.
    pub async fn dead(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let (mut all, mut from) = (Vec::new(), 1);
        while let Some(message) = self.next("DEAD", &self.names.dead("*"), from).await? {
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

fn letter(sequence: u64, time: time::OffsetDateTime, headers: HeaderMap, payload: Bytes) -> DeadLetter {
    let take = |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    let (job, subject, reason, worker) = (take(JOB_HEADER), take(SUBJECT), take(REASON), take(WORKER));
    let attempts = take(ATTEMPTS).parse().unwrap_or(0);
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let name = name.to_string();
        if ![JOB_HEADER, SUBJECT, REASON, WORKER, ATTEMPTS, MESSAGE_ID, SPENT_HEADER].contains(&name.as_str()) {
            values.iter().for_each(|value| kept.append(name.as_str(), value.clone()));
        }
    }
    let time = time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    DeadLetter { sequence, time, job, subject, reason, worker, attempts, headers: kept, payload }
}

/// Bytes of headers on the wire.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let all = headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    all.map(|(name, value)| AsRef::<[u8]>::as_ref(name).len() + value.as_str().len() + HEADER_EXTRA).sum()
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
