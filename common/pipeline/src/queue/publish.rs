//! Publishing: what is told is there, or there is an error.

use std::time::SystemTime;

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;

use super::Queue;
use super::raw::Ask;
use crate::event::Event;
use crate::fields::FieldError;
use crate::id::sha256_hex;
use crate::job::{Job, JobId};
use crate::names::{self, MESSAGE_ID};
use crate::telemetry;
use crate::telemetry::otlp::{self, Finished, Kind};
use crate::wire;

/// Bytes on the wire of a header besides its name and value: colon, space, line break.
const HEADER_EXTRA: usize = 4;
/// Bytes on the wire of a block of headers besides these: the line of the version, and an empty one.
const BLOCK_EXTRA: usize = 12;

/// A job that the stream holds for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The stream.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
    /// The same job was there before; it is done once.
    pub duplicate: bool,
    /// Digest of a job's message; empty for what is no job.
    pub digest: String,
}

/// One message about to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// Deduplicates within the stream's window.
    pub message_id: String,
    /// All other headers.
    pub headers: HeaderMap,
    /// The job.
    pub payload: Bytes,
}

impl Queue {
    /// Publishes a job that has its id, and waits until the stream holds it.
    pub async fn submit<J: Job>(&self, lane: &str, job: &J) -> anyhow::Result<Submitted> {
        let (submitted, _) = self.submit_once(lane, job).await?;
        Ok(submitted)
    }

    /// The same for whoever may read the queues: a job that was erased is a new one, also while the server
    /// still knows its message id.
    pub async fn submit_anew<J: Job>(&self, lane: &str, job: &J) -> anyhow::Result<Submitted> {
        let (submitted, outgoing) = self.submit_once(lane, job).await?;
        let id = job.meta().id.as_ref().filter(|_| submitted.duplicate);
        let Some(id) = id else { return Ok(submitted) };
        if !self.is_forgotten(id, &submitted, &outgoing.payload).await {
            return Ok(submitted);
        }
        let digest = submitted.digest;
        Ok(Submitted { digest, ..self.publish(renewed(outgoing)).await? })
    }

    async fn submit_once<J: Job>(&self, lane: &str, job: &J) -> anyhow::Result<(Submitted, Outgoing)> {
        let id = job.meta().id.as_ref().context("a job needs an id before it is submitted")?;
        if !names::is_lane(lane) {
            return Err(FieldError::new("lane", lane, "one token of letters, digits, - and _").into());
        }
        let (content_type, payload) = wire::encode(job);
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", content_type);
        headers.insert(names::JOB_HEADER, id.as_str());
        let parent = telemetry::parent();
        let trace = telemetry::next(parent.as_ref());
        trace.carry(|name, value| headers.insert(name, value));
        // Bound to the content: nobody else can use it up beforehand.
        let message_id = format!("{id}/{}/{}", J::QUEUE, &sha256_hex(&payload)[..32]);
        let subject = self.names.job(J::QUEUE, lane);
        let digest = Event::digest(&payload);
        let began = SystemTime::now();
        let outgoing = Outgoing { subject, message_id, headers, payload };
        let submitted = self.publish(outgoing.clone()).await?;
        let place = (&trace, trace.span(), parent.map(|parent| parent.span()));
        let span = Finished::new(format!("send {}", J::QUEUE), Kind::Producer, place, (began, SystemTime::now()));
        otlp::export(span.with("shanshui.job", id.as_str()).with("shanshui.lane", lane));
        Ok((Submitted { digest, ..submitted }, outgoing))
    }

    /// Publishes one message and waits for its PubAck.
    pub async fn publish(&self, outgoing: Outgoing) -> anyhow::Result<Submitted> {
        self.fits(&outgoing)?;
        let Outgoing { subject, message_id, headers, payload } = outgoing;
        let message = PublishMessage::build().headers(plain(headers)).payload(payload).message_id(message_id);
        let ack = self.send(&subject, message).await?.await;
        let ack = ack.map_err(|error| self.explained(&subject, error.into()));
        let ack = ack.with_context(|| format!("cannot store a message on {subject}"))?;
        Ok(Submitted { stream: ack.stream, sequence: ack.sequence, duplicate: ack.duplicate, digest: String::new() })
    }

    /// Publishes a message that must be there afterwards. Anybody may use up a message id: where
    /// the server calls it a duplicate and other bytes lie there, or none any more, it is published
    /// again under an id that nobody can guess.
    pub(crate) async fn publish_surely(&self, outgoing: Outgoing) -> anyhow::Result<()> {
        let submitted = self.publish(outgoing.clone()).await?;
        if !submitted.duplicate {
            return Ok(());
        }
        let there = self.read(&submitted.stream, Ask::At { seq: submitted.sequence }).await?;
        let tells = |payload: &Bytes| same_words(payload, &outgoing.payload);
        if there.is_some_and(|message| tells(&message.payload)) {
            return Ok(());
        }
        tracing::warn!(
            subject = outgoing.subject,
            "another message has this message id; publishing again under a new one"
        );
        self.publish(renewed(outgoing)).await.map(drop)
    }

    /// Whether a job that the server calls a duplicate is nowhere any more. Whoever erases a job does not erase
    /// its message id: the server knows that for its whole window (nats-server issue 6782). Where we may not
    /// look, the server's word counts.
    async fn is_forgotten(&self, job: &JobId, duplicate: &Submitted, payload: &Bytes) -> bool {
        let (events, subject) = (self.names.stream("EVENTS"), self.names.event(job, ">"));
        let is_told =
            async || self.read(&events, Ask::Last { last_by_subj: &subject }).await.map_or(true, |it| it.is_some());
        if is_told().await {
            return false;
        }
        let there = self.read(&duplicate.stream, Ask::At { seq: duplicate.sequence }).await;
        let waits = there.map_or(true, |it| it.is_some_and(|message| message.payload == *payload));
        // A worker that took it meanwhile has told of it before it let the message go.
        !waits && !is_told().await
    }

    /// Publishes a message only if the last one on its subject is number `last` (0: there is none);
    /// says whether it did.
    pub(crate) async fn publish_after(&self, last: u64, outgoing: Outgoing) -> anyhow::Result<bool> {
        self.fits(&outgoing)?;
        let Outgoing { subject, headers, payload, .. } = outgoing;
        let message = PublishMessage::build().headers(plain(headers)).payload(payload);
        let ack = self.send(&subject, message.expected_last_subject_sequence(last)).await?.await;
        self.stored_unless_wrong(&subject, ack)
    }

    fn stored_unless_wrong(&self, subject: &str, ack: Result<PublishAck, PublishError>) -> anyhow::Result<bool> {
        match ack {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => {
                let error = self.explained(subject, error.into());
                Err(error).with_context(|| format!("cannot store a message on {subject}"))
            }
        }
    }

    /// Publishes a message only if the stream holds none on the subjects of `filter`; says whether it did.
    pub(crate) async fn publish_first(&self, filter: &str, outgoing: Outgoing) -> anyhow::Result<bool> {
        self.fits(&outgoing)?;
        let Outgoing { subject, headers, payload, .. } = outgoing;
        let mut headers = plain(headers);
        // nats-server 2.12: what the expected sequence is about, where it is not the subject itself.
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", filter);
        let message = PublishMessage::build().headers(headers).payload(payload);
        let ack = self.send(&subject, message.expected_last_subject_sequence(0)).await?.await;
        self.stored_unless_wrong(&subject, ack)
    }

    async fn send(&self, subject: &str, message: PublishMessage) -> anyhow::Result<PublishAckFuture> {
        let sent = self.context.send_publish(subject.to_owned(), message).await;
        sent.with_context(|| format!("cannot publish on {subject}"))
    }

    /// Whether the server takes so much, payload and headers together: trying again would not help.
    pub(crate) fn fits(&self, outgoing: &Outgoing) -> Result<(), FieldError> {
        let id = MESSAGE_ID.len() + outgoing.message_id.len() + HEADER_EXTRA;
        let (payload, headers) = (outgoing.payload.len(), size(&outgoing.headers) + id + BLOCK_EXTRA);
        // Cheap, where all that the server has told of itself would be copied for every message.
        let limit = self.client.max_payload();
        // Until the first connection nothing is known, and that limit is a guess of the client's.
        if payload + headers <= limit || self.client.try_server_info().is_none() {
            return Ok(());
        }
        let found = format!("{payload} bytes with {headers} of headers");
        Err(FieldError::new("payload", found, format!("at most {limit} bytes (the server's max_payload)")))
    }
}

/// The same message under an id that nobody can guess.
fn renewed(outgoing: Outgoing) -> Outgoing {
    let message_id = format!("{}/{:032x}", outgoing.message_id, rand::random::<u128>());
    Outgoing { message_id, ..outgoing }
}

/// Bytes of headers on the wire.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let all = headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    all.map(|(name, value)| AsRef::<[u8]>::as_ref(name).len() + value.as_str().len() + HEADER_EXTRA).sum()
}

/// Headers without those that tell JetStream what to do with a message: what the sender of a job asked for (an
/// expected stream, say) was done when it was published, and is wrong wherever it goes next.
fn plain(headers: HeaderMap) -> HeaderMap {
    let for_server = |name: &HeaderName| {
        let start = AsRef::<[u8]>::as_ref(name).get(..5);
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"nats-"))
    };
    // Hardly any message has one.
    if !headers.iter().any(|(name, _)| for_server(name)) {
        return headers;
    }
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter().filter(|(name, _)| !for_server(name)) {
        values.iter().for_each(|value| kept.append(name.clone(), value.clone()));
    }
    kept
}

/// Whether two messages say the same: events differ in their time, jobs in the time that was taken.
fn same_words(one: &[u8], other: &[u8]) -> bool {
    let data = |bytes: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        Some((value.get("subject")?.clone(), value.get("data")?.get("kind")?.clone()))
    };
    let same_event = || matches!((data(one), data(other)), (Some(one), Some(other)) if one == other);
    let same_job = || wire::digest(one).is_some_and(|digest| Some(digest) == wire::digest(other));
    one == other || same_event() || same_job()
}
