//! The connection itself: on a thread of its own, watched.

use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions, Event, ServerError};
use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// A runtime for the connection and for what must not wait for anything else, the heartbeats of
/// leases: computing that blocks every other runtime of the process cannot starve it. It ends
/// with its last clone.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    handle: Handle,
    state: watch::Receiver<LinkState>,
    _alive: Arc<oneshot::Sender<()>>,
}

/// What is known of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it is up.
    pub connected: bool,
    /// What the server refused on this connection, in its words: a permission or a login. The
    /// call that was refused just times out.
    pub refused: Option<String>,
}

impl LinkState {
    /// What is wrong with it, if anything.
    pub fn trouble(&self) -> Option<String> {
        match &self.refused {
            Some(refused) => Some(format!("NATS refuses: {refused}")),
            None => (!self.connected).then(|| "no connection".to_owned()),
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

    /// What is known of the connection, and every change of it.
    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }
}

fn follow(tell: &watch::Sender<LinkState>, event: &Event) {
    let change = |change: fn(&mut LinkState)| tell.send_modify(change);
    match event {
        Event::Connected => {
            tracing::info!("connected to NATS");
            tell.send_replace(LinkState { connected: true, refused: None });
        }
        Event::Disconnected => {
            tracing::warn!("lost the connection to NATS");
            change(|state| state.connected = false);
        }
        Event::ServerError(ServerError::AuthorizationViolation) => refuse(tell, "authorization violation"),
        Event::ServerError(ServerError::Other(text)) => refuse(tell, text),
        Event::ServerError(error) => tracing::error!(%error, "NATS refused"),
        // A login that is refused while connecting comes as what the client met with.
        Event::ClientError(error) if is_login(&error.to_string()) => refuse(tell, &error.to_string()),
        Event::ClientError(error) => tracing::error!(%error, "NATS client error"),
        Event::SlowConsumer(subscription) => tracing::warn!(subscription, "NATS drops messages for a slow reader"),
        other => tracing::info!(event = %other, "NATS"),
    }
}

fn is_login(error: &str) -> bool {
    ["authorization violation", "authentication"].iter().any(|word| error.contains(word))
}

/// A refused permission comes only as an event; the call itself would just time out.
fn refuse(tell: &watch::Sender<LinkState>, text: &str) {
    tracing::error!(error = text, "NATS refused");
    tell.send_modify(|state| state.refused = Some(text.to_owned()));
}
