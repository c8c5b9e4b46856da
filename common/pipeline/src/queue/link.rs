//! The connection itself: on a thread of its own, watched.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions, Event, ServerError};
use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::check::CHANGES;

/// A runtime for the connection and for what must not wait for anything else, the heartbeats of
/// leases: computing that blocks every other runtime of the process cannot starve it. It ends
/// with its last clone.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    handle: Handle,
    state: watch::Receiver<LinkState>,
    _alive: Arc<oneshot::Sender<()>>,
}

/// How long a refusal counts that did not end the connection. What a worker needs, it asks for again
/// before that, and is refused again; what it got along without, it may be.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is known of the connection.
#[derive(Debug, Clone, Default)]
pub struct LinkState {
    /// Whether it is up.
    pub connected: bool,
    /// What the server refused last, and when: a permission or a login. The call that was refused
    /// just times out.
    refused: Option<(String, Instant)>,
    /// What the last try to connect met with.
    met: Option<String>,
}

/// A permission or a login that the server refused: the call itself only times out.
#[derive(Debug, thiserror::Error)]
#[error("NATS refuses: {0}")]
pub struct Refused(String);

impl LinkState {
    /// The refusal of a request on `subject`, if there was one.
    pub(super) fn refusal_of(&self, subject: &str) -> Option<Refused> {
        let text = self.refused()?;
        let about_it = text.contains(&format!("\"{subject}\"")) || text.contains("Subscription to");
        about_it.then(|| Refused(text.trim_start_matches("nats: ").to_owned()))
    }

    /// What the server refuses, in its words.
    pub fn refused(&self) -> Option<&str> {
        let (what, when) = self.refused.as_ref()?;
        (!self.connected || when.elapsed() < REMEMBERED).then_some(what)
    }

    /// What is wrong with it, if anything.
    pub fn trouble(&self) -> Option<String> {
        match (self.refused(), &self.met) {
            (Some(refused), _) => Some(format!("NATS refuses: {refused}")),
            (None, _) if self.connected => None,
            (None, Some(met)) => Some(format!("no connection: {met}")),
            (None, None) => Some("no connection".to_owned()),
        }
    }
}

impl Link {
    /// Connects on a new thread; `servers` are tried until one answers.
    pub(crate) async fn connect(options: ConnectOptions, servers: Vec<String>) -> anyhow::Result<(Self, Client)> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("a runtime for NATS")?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        let serve = move || drop(runtime.block_on(ended));
        thread::Builder::new().name("nats".into()).spawn(serve).context("start a thread for NATS")?;
        let (tell, state) = watch::channel(LinkState::default());
        let options = options.event_callback(move |event| {
            follow(&tell, &event);
            async {}
        });
        let mut connecting = JoinSet::new();
        connecting.spawn_on(async move { options.connect(servers).await }, &handle);
        let client = connecting.join_next().await.context("connecting was given up")???;
        Ok((Self { handle, state, _alive: Arc::new(alive) }, client))
    }

    /// Runs `work` there until the set is dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, &self.handle);
        tasks
    }

    /// Does work there and waits for its end. It must not compute for long: the heartbeats are sent from there.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        let mut one = JoinSet::new();
        one.spawn_on(work.in_current_span(), &self.handle);
        one.join_next().await.context("the thread of the connection has ended")?.context("a task panicked")?
    }

    /// What is known of the connection, and every change of it.
    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }
}

fn follow(tell: &watch::Sender<LinkState>, event: &Event) {
    match event {
        Event::Connected => {
            tracing::info!("connected to NATS");
            tell.send_replace(LinkState { connected: true, ..LinkState::default() });
        }
        Event::Disconnected => {
            tracing::warn!("lost the connection to NATS");
            tell.send_modify(|state| {
                state.connected = false;
                state.refused.take_if(|(_, when)| when.elapsed() >= REMEMBERED);
            });
        }
        Event::ServerError(ServerError::AuthorizationViolation) => refuse(tell, "authorization violation"),
        // Without it, a worker looks at its streams from time to time.
        Event::ServerError(ServerError::Other(text)) if text.contains(CHANGES) => {
            tracing::info!(error = text, "NATS does not tell of changes of streams; they are seen within minutes");
        }
        Event::ServerError(ServerError::Other(text)) => refuse(tell, text),
        Event::ServerError(error) => tracing::error!(%error, "NATS refused"),
        // A login that is refused while connecting comes as what the client met with.
        Event::ClientError(error) if is_login(&error.to_string()) => refuse(tell, &error.to_string()),
        Event::ClientError(error) => meet(tell, &error.to_string()),
        Event::SlowConsumer(subscription) => tracing::warn!(subscription, "NATS drops messages for a slow reader"),
        other => tracing::info!(event = %other, "NATS"),
    }
}

fn is_login(error: &str) -> bool {
    ["authorization violation", "authentication"].iter().any(|word| error.contains(word))
}

/// A refused permission comes only as an event; the call itself would just time out.
fn refuse(tell: &watch::Sender<LinkState>, text: &str) {
    tell.send_modify(|state| {
        // Every try of an outage meets the same.
        match &state.refused {
            Some((known, _)) if known == text => tracing::debug!(error = text, "NATS refused again"),
            _ => tracing::error!(error = text, "NATS refused"),
        }
        state.refused = Some((text.to_owned(), Instant::now()));
    });
}

fn meet(tell: &watch::Sender<LinkState>, text: &str) {
    tell.send_modify(|state| {
        match &state.met {
            Some(known) if known == text => tracing::debug!(error = text, "still no connection to NATS"),
            _ => tracing::warn!(error = text, "cannot connect to NATS"),
        }
        state.met = Some(text.to_owned());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_did_not_end_the_connection_is_forgotten() {
        let at = |when: Option<Instant>| Some(("permissions violation".to_owned(), when.expect("a time after boot")));
        let (old, new) = (at(Instant::now().checked_sub(REMEMBERED)), at(Some(Instant::now())));
        let state = |connected, refused| LinkState { connected, refused, met: None };
        assert_eq!(state(true, new.clone()).trouble().as_deref(), Some("NATS refuses: permissions violation"));
        assert_eq!(state(true, old.clone()).trouble(), None);
        assert_eq!(state(false, new).trouble().as_deref(), Some("NATS refuses: permissions violation"));
        let (tell, seen) = watch::channel(state(true, old));
        follow(&tell, &Event::Disconnected);
        assert_eq!(seen.borrow().trouble().as_deref(), Some("no connection"));
    }
}
