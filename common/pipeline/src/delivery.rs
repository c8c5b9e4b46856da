//! One JetStream message: what it says, and how it is settled.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use async_nats::{HeaderMap, Subject};

use crate::event::Event;
use crate::fields::FieldError;
use crate::job::{Job, JobId};
use crate::made::Made;
use crate::names::{self, JOB_HEADER, PASSED_HEADER, REPLAY_HEADER, SPENT_HEADER};
use crate::queue::Original;
use crate::wire::{self, Content, Name};

/// A message on loan from its stream.
pub struct Delivery {
    message: async_nats::Message,
    acker: Acker,
    reply: Subject,
    /// Sequence in the stream.
    pub sequence: u64,
    /// How often it was handed out, this time included.
    pub delivered: u64,
    /// Seconds since it was published.
    pub waited: f64,
    /// What its payload says, until the job is decoded.
    content: Option<Content>,
}

/// The name of a job, and what is wrong with how it was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) job: JobId,
    pub(crate) wrong: Option<FieldError>,
}

impl Delivery {
    /// Takes a message that a pull consumer handed out.
    pub fn new(message: async_nats::jetstream::Message) -> anyhow::Result<Self> {
        let info = message.info().map_err(anyhow::Error::from_boxed)?;
        let (sequence, delivered) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
        let waited = (time::OffsetDateTime::now_utc() - info.published).as_seconds_f64().max(0.0);
        let reply = message.reply.clone().context("a message without a reply subject is no delivery")?;
        let (message, acker) = message.split();
        Ok(Self { message, acker, reply, sequence, delivered, waited, content: None })
    }

    /// The job in it.
    pub fn decode<J: Job>(&mut self) -> Result<J, FieldError> {
        let content_type = header(self.message.headers.as_ref(), "Content-Type")?;
        let payload = &self.message.payload;
        self.content.take().unwrap_or_else(|| Content::of(content_type, payload)).decode(payload.clone())
    }

    /// What earlier stages made, whatever else is wrong with the job.
    pub(crate) fn made(&self) -> Vec<Made> {
        wire::made(self.header("Content-Type"), &self.message.payload)
    }

    /// The job's name, whatever else is wrong with the job.
    pub(crate) fn named(&mut self, stream: &str, created: i128) -> Named {
        let derived = || JobId::of_message(stream, created, self.sequence);
        let (headers, payload, content) = (self.message.headers.as_ref(), &self.message.payload, &mut self.content);
        let name = |form: Option<&str>| content.insert(Content::of(form, payload)).name();
        named_by(headers, name, derived)
    }

    /// A header's value; none where two say different things.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.message.headers.as_ref(), name).ok().flatten()
    }

    /// Digest of the payload: tells another job under the same name from the same one again.
    pub(crate) fn digest(&self) -> String {
        Event::digest(&self.message.payload)
    }

    /// Digest of what the job says, as the stage before told it.
    pub(crate) fn content(&self) -> String {
        wire::digest(&self.message.payload).unwrap_or_default()
    }

    /// How often the job was taken out of DEAD again.
    pub fn run(&self) -> u32 {
        self.header(REPLAY_HEADER).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Attempts made with the messages that carried the job before this one.
    pub fn spent(&self) -> u64 {
        self.header(SPENT_HEADER).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether a worker of another pool passed it on.
    pub(crate) fn is_passed_on(&self) -> bool {
        self.header(PASSED_HEADER).is_some()
    }

    /// Lane of the queue.
    pub fn lane(&self) -> &str {
        names::lane(&self.message.subject)
    }

    /// Pool of the queue.
    pub fn pool(&self) -> &str {
        names::pool(&self.message.subject)
    }

    /// The message as it came.
    pub fn original(&self) -> Original<'_> {
        let async_nats::Message { subject, headers, payload, .. } = &self.message;
        Original { subject, headers: headers.as_ref(), payload }
    }

    /// Where its acknowledgements go.
    pub(crate) fn reply(&self) -> Subject {
        self.reply.clone()
    }

    /// Done with it, confirmed by the server.
    pub async fn ack(&self) -> anyhow::Result<()> {
        self.settle(AckKind::Ack).await
    }

    /// Hands it back, to be delivered again after `delay`.
    pub async fn hand_back(&self, delay: Duration) -> anyhow::Result<()> {
        let delay = (!delay.is_zero()).then_some(delay);
        self.settle(AckKind::Nak(delay)).await
    }

    /// Asks for another full ack wait.
    pub async fn hold(&self) -> anyhow::Result<()> {
        let sent = self.acker.ack_with(AckKind::Progress).await;
        sent.map_err(|error| anyhow!("cannot hold message {}: {error}", self.sequence))
    }

    async fn settle(&self, kind: AckKind) -> anyhow::Result<()> {
        let sent = self.acker.double_ack_with(kind).await;
        sent.map_err(|error| anyhow!("cannot settle message {}: {error}", self.sequence))
    }
}

/// A header, whatever the case of its name: clients differ, and NATS compares case (ADR-4).
///
/// # Errors
/// The name is there in two cases with two values.
pub(crate) fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Result<Option<&'a str>, FieldError> {
    let all = headers.into_iter().flat_map(|headers| headers.iter());
    let same = all.filter(|(own, _)| AsRef::<[u8]>::as_ref(*own).eq_ignore_ascii_case(name.as_bytes()));
    let mut values = same.flat_map(|(_, values)| values.iter().map(|value| value.as_str()));
    let Some(first) = values.next() else { return Ok(None) };
    match values.find(|value| *value != first) {
        Some(_) => Err(FieldError::new(&format!("header {name}"), "(twice, with different values)", "one value")),
        None => Ok(Some(first)),
    }
}

/// The name of the job in a message: its own, else the header's, else the derived one. Worker,
/// reconciler and audit all ask here.
pub(crate) fn named(headers: Option<&HeaderMap>, payload: &[u8], derived: impl Fn() -> JobId) -> Named {
    named_by(headers, |form| wire::name(form, payload), derived)
}

/// The same; `own` says what the payload of such a form calls itself.
fn named_by(headers: Option<&HeaderMap>, own: impl FnOnce(Option<&str>) -> Name, derived: impl Fn() -> JobId) -> Named {
    let by_header = || match header(headers, JOB_HEADER) {
        Ok(Some(text)) => JobId::parse(&format!("header {JOB_HEADER}"), text).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let wrong = |error: FieldError, job: Option<JobId>| Named { job: job.unwrap_or_else(&derived), wrong: Some(error) };
    let content_type = header(headers, "Content-Type");
    match (content_type.as_ref().ok().map_or(Name::Absent, |form| own(*form)), by_header()) {
        (Name::Own(job), _) => Named { job, wrong: None },
        (Name::Wrong(error), header) => wrong(error, header.ok().flatten()),
        (Name::Absent, Err(error)) => wrong(error, None),
        (Name::Absent, Ok(header)) => Named { job: header.unwrap_or_else(derived), wrong: content_type.err() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        all.iter().for_each(|(name, value)| map.append(*name, *value));
        map
    }

    #[test]
    fn a_header_is_found_in_any_case_and_two_that_disagree_are_refused() {
        for name in ["Shanshui-Job", "shanshui-job", "SHANSHUI-JOB"] {
            let map = headers(&[(name, "cat-1")]);
            assert_eq!(header(Some(&map), JOB_HEADER).unwrap(), Some("cat-1"));
        }
        let same = headers(&[("shanshui-job", "a"), ("Shanshui-Job", "a")]);
        assert_eq!(header(Some(&same), JOB_HEADER).unwrap(), Some("a"));
        let two = headers(&[("shanshui-job", "a"), ("Shanshui-Job", "b")]);
        let error = named(Some(&two), b"a cat", || JobId::parse("", "derived").unwrap());
        assert_eq!(error.job.as_str(), "derived");
        assert!(error.wrong.unwrap().to_string().starts_with("header Shanshui-Job: "));
    }

    #[test]
    fn d1_the_name_is_read_before_anything_else() {
        let derived = || JobId::parse("", "derived").unwrap();
        let wrong = br#"{"id":"cat-1","text":"a","picture":{"steps":0}}"#;
        assert_eq!(named(None, wrong, derived).job.as_str(), "cat-1");
        let map = headers(&[("shanshui-job", "cat-2")]);
        assert_eq!(named(Some(&map), b"{\"id\":\"No Name\"}", derived).job.as_str(), "cat-2");
        assert_eq!(named(Some(&map), b"not json", derived).job.as_str(), "cat-2");
        assert_eq!(named(None, b"a cat", derived), Named { job: derived(), wrong: None });
    }
}
