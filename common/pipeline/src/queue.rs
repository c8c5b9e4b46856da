//! NATS JetStream as the pipeline uses it.

mod apply;
mod cancel;
mod check;
mod dead;
mod declare;
mod ends;
mod history;
pub(crate) mod inlet;
pub(crate) mod late;
mod levels;
mod link;
mod listen;
mod login;
mod pools;
mod publish;
pub(crate) mod pull;
pub(crate) mod raw;
mod remove;
mod standing;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::{Client, ConnectOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub(crate) use cancel::is_cancel;
pub use check::Unusable;
pub use dead::{Burial, DeadLetter, Original};
pub use declare::RECONCILE;
pub use ends::End;
pub use inlet::Inlet;
pub use levels::{Levels, PoolLevel, StreamLevel};
pub(crate) use link::Link;
pub use link::{LinkState, Refused};
pub use listen::{KeptEvent, News};
pub(crate) use pools::Abandoned;
pub use pools::{PoolState, Wait};
pub use publish::{Outgoing, Submitted};
pub use webhooks::WebhookLevel;

use crate::config::NatsOptions;
pub use crate::names::Names;
use crate::step::Step;

/// Oldest nats-server that is safe: before it, a client's reply subject acts on the JetStream API, and
/// published advisories let one role do what another may.
pub const OLDEST_SERVER: (u32, u32, u32) = (2, 12, 7);

/// A half-open link is seen after about three of these.
const PING: Duration = Duration::from_secs(10);
/// At most this long before the first try to connect again; doubles up to 4 s.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Room for headers when a payload is compared with the server's limit, in bytes.
const HEADER_ROOM: usize = 8 * 1024;

/// A connection, with the names and the pipeline that are used on it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(crate) client: Client,
    pub(crate) context: jetstream::Context,
    pub(crate) names: Names,
    pub(crate) link: Link,
    pub(crate) steps: &'static [Step],
    /// What the subjects of the JetStream API begin with.
    api: Arc<str>,
}

impl Queue {
    /// Connects, and goes on trying when no server is there yet: see [`Queue::wait_connected`].
    /// `steps` is the pipeline, in the order in which a job takes it.
    ///
    /// # Errors
    /// Unreadable credentials or certificates, and an address that is none.
    pub async fn connect(options: &NatsOptions, name: &str, steps: &'static [Step]) -> anyhow::Result<Self> {
        let (servers, login) = options.servers()?;
        let connect = login::login(options, login).await?;
        let connect = secure(connect, options).name(name).retry_on_initial_connect().ping_interval(PING);
        let linked = Link::connect(connect, servers).await;
        let (link, client) = linked.with_context(|| format!("cannot use {}", hosts(&options.url)))?;
        let (context, api) = match &options.domain {
            Some(domain) => (jetstream::with_domain(client.clone(), domain), format!("$JS.{domain}.API")),
            None => (jetstream::new(client.clone()), "$JS.API".to_owned()),
        };
        Ok(Self { client, context, names: Names::new(&options.prefix), link, steps, api: api.into() })
    }

    /// The steps of the pipeline, in the order in which a job takes them.
    pub fn steps(&self) -> &'static [Step] {
        self.steps
    }

    /// The step of a stage.
    ///
    /// # Errors
    /// A stage that is no part of this pipeline.
    pub fn step(&self, stage: &str) -> anyhow::Result<&'static Step> {
        let found = self.steps.iter().find(|step| step.stage == stage);
        found.with_context(|| format!("the pipeline has no stage {stage}"))
    }

    /// Waits until the connection is up.
    pub async fn wait_connected(&self) {
        // An error: the client is gone. Whoever waits meets that with what comes next.
        let _ = self.link.state().wait_for(|state| state.connected).await;
    }

    /// Says in the log that the server is too old, if it is.
    pub fn warn_of_old_server(&self) {
        let version = self.client.server_info().version;
        if server_version(&version).is_some_and(|known| known < OLDEST_SERVER) {
            let (major, minor, patch) = OLDEST_SERVER;
            tracing::warn!(
                version,
                "this nats-server is older than {major}.{minor}.{patch}: one role can do what another may; upgrade it"
            );
        }
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

    /// The full subject of a call of the JetStream API.
    pub(crate) fn api(&self, call: &str) -> String {
        format!("{}.{call}", self.api)
    }

    /// The true reason of a call on `subject` that failed: what NATS refuses comes as an event of the
    /// connection, and the call only times out.
    pub(crate) fn explained(&self, subject: &str, error: anyhow::Error) -> anyhow::Error {
        match self.link.state().borrow().refusal_of(subject) {
            Some(refused) => refused.into(),
            None => error,
        }
    }

    /// A request to the JetStream API.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: &str, request: &impl Serialize) -> anyhow::Result<T> {
        let answer = self.context.request(call.to_owned(), request).await;
        answer.map_err(|error| self.explained(&self.api(call), error.into()))
    }

    /// Largest payload in bytes that the server takes, with room left for headers.
    pub fn max_payload(&self) -> usize {
        self.client.server_info().max_payload.saturating_sub(HEADER_ROOM)
    }

    /// Waits until the connection is up, as long as `time` at most; says whether it is.
    pub async fn connected_within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.wait_connected()).await.is_ok() && self.is_connected()
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

/// Addresses without the user and password that a URL may carry.
fn hosts(url: &str) -> String {
    let host = |url: &str| url.rsplit_once('@').map_or(url, |(_, host)| host).trim().to_owned();
    url.split(',').map(host).collect::<Vec<_>>().join(", ")
}

/// The version of a nats-server: `2.15.1`, `2.12.0-RC.1`.
pub fn server_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.trim().split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let old = ["2.9.10", "2.11.16", "2.12.0-RC.1", "2.12.6"];
        assert!(old.iter().all(|text| server_version(text).unwrap() < OLDEST_SERVER));
        assert!(["2.12.7", "2.15.1", "3.0.0"].iter().all(|text| server_version(text).unwrap() >= OLDEST_SERVER));
        assert_eq!(server_version("something else"), None);
    }
}
