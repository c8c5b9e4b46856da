//! One JetStream message: what it says, and how it is settled.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_nats::Subject;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;

use crate::fields::FieldError;
use crate::job::JobId;
use crate::message::{Message, header_id};
use crate::queue::Original;
use crate::queue::names::{self, JOB_HEADER, REPLAY_HEADER, SPENT_HEADER};
use crate::wire;

/// A message on loan from its stream.
pub struct Delivery {
    message: async_nats::Message,
    acker: Acker,
    reply: Subject,
    /// Place in the stream.
    pub sequence: u64,
    /// How often it was handed out, this time included.
    pub delivered: u64,
    /// Seconds since it was published.
    pub waited: f64,
}

impl Delivery {
    /// Takes a message that a pull consumer handed out.
    pub fn new(message: async_nats::jetstream::Message) -> anyhow::Result<Self> {
        let info = message.info().map_err(anyhow::Error::from_boxed)?;
        let (sequence, delivered) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
        let waited = (time::OffsetDateTime::now_utc() - info.published).as_seconds_f64().max(0.0);
        let reply = message.reply.clone().context("a message without a reply subject is no delivery")?;
        let (message, acker) = message.split();
        Ok(Self { message, acker, reply, sequence, delivered, waited })
    }

    /// The job in it.
    pub fn decode<M: Message>(&self) -> Result<M, FieldError> {
        wire::decode(self.header("Content-Type"), self.message.payload.clone())
    }

    /// The job's name: its own, else the header's, else one that every redelivery finds again.
    pub fn job_id(&self, own: Option<&JobId>, stream: &str, created: i128) -> Result<JobId, (JobId, FieldError)> {
        name_of(own, self.header(JOB_HEADER), || JobId::of_message(stream, created, self.sequence))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.message.headers.as_ref()?.get(name).map(|value| value.as_str())
    }

    /// How often the job was taken out of DEAD again.
    pub fn replay(&self) -> u32 {
        self.header(REPLAY_HEADER).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Attempts made with the messages that carried the job before this one.
    pub fn spent(&self) -> u64 {
        self.header(SPENT_HEADER).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Lane of the queue.
    pub fn lane(&self) -> &str {
        names::lane(&self.message.subject)
    }

    /// The message as DEAD wants it.
    pub(crate) fn original(&self) -> Original<'_> {
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

    async fn settle(&self, kind: AckKind) -> anyhow::Result<()> {
        let sent = self.acker.double_ack_with(kind).await;
        sent.map_err(|error| anyhow!("cannot settle message {}: {error}", self.sequence))
    }
}

/// The job's name: its own, else the header's, else the derived one; also with the error that a
/// header of no allowed form is.
pub(crate) fn name_of(
    own: Option<&JobId>,
    header: Option<&str>,
    derived: impl Fn() -> JobId,
) -> Result<JobId, (JobId, FieldError)> {
    match (own, header) {
        (Some(own), _) => Ok(own.clone()),
        (None, Some(header)) => header_id(header).map_err(|error| (derived(), error)),
        (None, None) => Ok(derived()),
    }
}
