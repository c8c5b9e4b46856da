//! How a process is asked to end: softly first, then hard.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Two requests. Clones are the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Take no more work; finish what is running.
    pub drain: CancellationToken,
    /// Hand back what is running, at once.
    pub stop: CancellationToken,
    /// Listens to the signals as long as any clone lives.
    _listener: Option<Arc<JoinSet<()>>>,
}

impl Shutdown {
    /// Drains at the first SIGTERM or SIGINT, stops at the second or `drain_time` after the first.
    pub fn on_signals(drain_time: Duration) -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let mut shutdown = Self::manual();
        let mut listener = JoinSet::new();
        listener.spawn(follow(shutdown.clone(), Signals { terminate, interrupt }, drain_time));
        shutdown._listener = Some(Arc::new(listener));
        Ok(shutdown)
    }

    /// A shutdown that this one brings about, and that leaves this one alone.
    pub fn child(&self) -> Self {
        let (drain, stop) = (self.drain.child_token(), self.stop.child_token());
        Self { drain, stop, _listener: self._listener.clone() }
    }

    /// Follows no signal: for a program that decides itself, and for tests.
    pub fn manual() -> Self {
        Self { drain: CancellationToken::new(), stop: CancellationToken::new(), _listener: None }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn follow(shutdown: Shutdown, mut signals: Signals, drain_time: Duration) {
    let first = signals.next().await;
    tracing::info!(
        "{first}: no more jobs are taken, running ones have {} s; again to stop at once",
        drain_time.as_secs()
    );
    shutdown.drain.cancel();
    match tokio::time::timeout(drain_time, signals.next()).await {
        Ok(second) => tracing::warn!("{second}: releasing the running jobs"),
        Err(_) => tracing::warn!("not drained after {} s: running jobs are handed back", drain_time.as_secs()),
    }
    shutdown.stop.cancel();
}
