//! NATS JetStream as the pipeline uses it.

mod dead;
mod history;
mod link;
mod login;
pub mod names;
pub(crate) mod pull;
pub(crate) mod raw;
pub mod streams;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::connection::State;
use async_nats::jetstream::{self, message::PublishMessage};
use async_nats::{Client, ConnectOptions, HeaderMap};
use bytes::Bytes;
use tokio::sync::watch;

pub use dead::{DeadLetter, Grave, Original};
pub(crate) use link::Link;
pub use link::LinkState;
pub use names::Names;

use crate::config::NatsOptions;
use crate::fields::FieldError;
use crate::job::JobId;
use crate::message::Message;
use crate::wire;

/// A half-open link is seen after about three of these.
const PING: Duration = Duration::from_secs(10);
/// At most this long before the first try to connect again; doubles up to 4 s.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Bytes on the wire of a header besides its name and value: colon, space, line break.
const HEADER_EXTRA: usize = 4;
/// Bytes on the wire of a block of headers besides these: the line of the version, and an empty one.
const BLOCK_EXTRA: usize = 12;
/// Room for headers when a payload is compared with the server's limit, in bytes.
const HEADER_ROOM: usize = 8 * 1024;

/// A connection, with the names used on it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(crate) client: Client,
    pub(crate) context: jetstream::Context,
    pub(crate) names: Names,
    pub(crate) link: Link,
}

/// A job that the stream holds for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The stream.
    pub stream: String,
    /// Its place there.
    pub sequence: u64,
    /// The same job was there before; it is done once.
    pub duplicate: bool,
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
    /// Connects, and goes on trying when no server is there yet: see [`Queue::wait_connected`].
    ///
    /// # Errors
    /// Unreadable credentials or certificates, and an address that is none.
    pub async fn connect(options: &NatsOptions, name: &str) -> anyhow::Result<Self> {
        let (servers, login) = options.servers();
        let connect = login::login(options, login).await?;
        let connect = secure(connect, options).name(name).retry_on_initial_connect().ping_interval(PING);
        let linked = Link::connect(connect, servers).await;
        let (link, client) = linked.with_context(|| format!("cannot use {}", hosts(&options.url)))?;
        let context = jetstream::new(client.clone());
        Ok(Self { client, context, names: Names::new(&options.prefix), link })
    }

    /// Waits until the connection is up.
    pub async fn wait_connected(&self) {
        // An error: the client is gone. Whoever waits meets that with what comes next.
        let _ = self.link.state().wait_for(|state| state.connected).await;
    }

    /// Whether the client has ended for good, as it does when it panics: nothing brings it back.
    pub fn is_gone(&self) -> bool {
        self.link.state().has_changed().is_err()
    }

    /// What is known of the connection, and every change of it.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }

    /// Whether the connection is up now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Names of streams and subjects on this connection.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Largest payload in bytes that the server takes, with room left for headers.
    pub fn max_payload(&self) -> usize {
        self.client.server_info().max_payload.saturating_sub(HEADER_ROOM)
    }

    /// Publishes a job that has its id, and waits until the stream holds it.
    pub async fn submit<M: Message>(&self, lane: &str, job: &M) -> anyhow::Result<Submitted> {
        let id = job.common().id.as_ref().context("a job needs an id before it is submitted")?;
        if !is_lane(lane) {
            return Err(FieldError::new("lane", lane, "one token of letters, digits, - and _").into());
        }
        let (content_type, payload) = wire::encode(job);
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", content_type);
        headers.insert(names::JOB_HEADER, id.as_str());
        let message_id = format!("{id}/{}", M::QUEUE);
        let subject = self.names.job(M::QUEUE, lane);
        self.publish(Outgoing { subject, message_id, headers, payload }).await
    }

    /// Publishes one message and waits for its PubAck.
    pub async fn publish(&self, outgoing: Outgoing) -> anyhow::Result<Submitted> {
        self.fits(&outgoing)?;
        let Outgoing { subject, message_id, headers, payload } = outgoing;
        let message = PublishMessage::build().headers(plain(&headers)).payload(payload).message_id(message_id);
        let ack = self.context.send_publish(subject.clone(), message).await;
        let ack = ack.with_context(|| format!("cannot publish on {subject}"))?.await;
        let ack = ack.with_context(|| format!("no stream took the message on {subject}"))?;
        Ok(Submitted { stream: ack.stream, sequence: ack.sequence, duplicate: ack.duplicate })
    }

    /// Whether the server takes so much, payload and headers together: trying again would not help.
    pub(crate) fn fits(&self, outgoing: &Outgoing) -> Result<(), FieldError> {
        let limit = self.client.server_info().max_payload;
        let id = names::MESSAGE_ID.len() + outgoing.message_id.len() + HEADER_EXTRA;
        let (payload, headers) = (outgoing.payload.len(), dead::size(&outgoing.headers) + id + BLOCK_EXTRA);
        if limit == 0 || payload + headers <= limit {
            return Ok(());
        }
        let found = format!("{payload} bytes with {headers} of headers");
        Err(FieldError::new("payload", found, format!("at most {limit} bytes (the server's max_payload)")))
    }

    /// Takes a job back, wherever it is.
    pub async fn cancel(&self, job: &JobId) -> anyhow::Result<()> {
        let subject = self.names.cancel(job.as_str());
        let message_id = format!("{job}/cancel/{:016x}", rand::random::<u64>());
        let outgoing = Outgoing { subject, message_id, headers: HeaderMap::new(), payload: Bytes::new() };
        self.publish(outgoing).await.map(drop)
    }
}

fn secure(mut connect: ConnectOptions, options: &NatsOptions) -> ConnectOptions {
    if let Some(path) = &options.ca {
        connect = connect.add_root_certificates(path.clone()).require_tls(true);
    }
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        connect = connect.add_client_certificate(cert.clone(), key.clone()).require_tls(true);
    }
    if let Some(inbox) = &options.inbox {
        connect = connect.custom_inbox_prefix(inbox.clone());
    }
    let began = AtomicBool::new(false);
    connect.reconnect_delay_callback(move |attempt| {
        let first = !began.swap(true, Ordering::Relaxed);
        if first { Duration::ZERO } else { pause(attempt) }
    })
}

/// Before a try to connect again; `attempt` counts from 1 after each connection. The client's own
/// schedule knocks ten times in the first second, also where a login is refused, and brings all
/// workers back at the same moment.
fn pause(attempt: usize) -> Duration {
    let doubled = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(4);
    (FIRST_PAUSE * 2_u32.pow(doubled)).mul_f64(rand::random_range(0.5..1.0))
}

/// Headers without those that tell JetStream what to do with a message: what the sender of a job asked for (an
/// expected stream, say) was done when it was published, and is wrong wherever it goes next.
fn plain(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let for_server = name.to_string().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-"));
        if !for_server {
            values.iter().for_each(|value| kept.append(name.clone(), value.clone()));
        }
    }
    kept
}

/// Addresses without the user and password that a URL may carry.
fn hosts(url: &str) -> String {
    let host = |url: &str| url.rsplit_once('@').map_or(url, |(_, host)| host).trim().to_owned();
    url.split(',').map(host).collect::<Vec<_>>().join(", ")
}

fn is_lane(lane: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&lane.len()) && lane.bytes().all(fits)
}
