//! One OS thread owns a loaded model; everybody else sends it closures. A model may work on by itself
//! between them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::lease::Progress;
use crate::telemetry::phase;

/// Calls that may wait; more wait at the sender, which is where back-pressure belongs.
const WAITING: usize = 4;

/// How often a call that waits for its turn is told of.
const TURN: Duration = Duration::from_secs(1);

/// The way to a model on its thread. The model need not be `Send`: it is loaded, used and
/// dropped there.
#[derive(Debug)]
pub struct ModelThread<M> {
    name: String,
    calls: mpsc::Sender<Call<M>>,
    seconds: Option<Histogram>,
}

type Call<M> = Box<dyn FnOnce(&mut M) + Send>;

/// The model is lost: a call panicked, and a model (or a GPU) after a panic is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model thread {name} is gone after a panic")]
pub struct ModelGone {
    /// Name of the thread.
    pub name: String,
}

impl<M: 'static> ModelThread<M> {
    /// Starts the thread and waits until the model is loaded.
    pub async fn spawn<L>(name: &str, load: L) -> anyhow::Result<Self>
    where
        L: FnOnce() -> anyhow::Result<M> + Send + 'static,
    {
        Self::spawn_turning(name, load, |_| false).await
    }

    /// The same for a model that calls only give work to: after the calls that wait, `turn` does a piece of
    /// it, and again as long as it says that there is more.
    pub async fn spawn_turning<L>(name: &str, load: L, turn: fn(&mut M) -> bool) -> anyhow::Result<Self>
    where
        L: FnOnce() -> anyhow::Result<M> + Send + 'static,
    {
        let (calls, waiting) = mpsc::channel(WAITING);
        let (ready, loaded) = oneshot::channel();
        let span = Span::current();
        let body = move || {
            let model = match span.in_scope(load) {
                Ok(model) => model,
                // Whoever asked has given up if nobody takes the error.
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(span);
            if ready.send(Ok(())).is_ok() {
                serve(model, waiting, turn);
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(body).context("start a model thread")?;
        loaded.await.with_context(|| format!("the model thread {name} panicked while loading"))??;
        Ok(Self { name: name.to_owned(), calls, seconds: None })
    }

    /// Records the seconds of every call.
    pub fn timed_by(self, seconds: Histogram) -> Self {
        Self { seconds: Some(seconds), ..self }
    }

    /// Runs `work` with the model, in the caller's span, after the calls that came before. A
    /// call whose caller has gone away meanwhile is skipped.
    pub async fn call<T, W>(&self, work: W) -> Result<T, ModelGone>
    where
        T: Send + 'static,
        W: FnOnce(&mut M) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (span, seconds) = (Span::current(), self.seconds.clone());
        let turn = phase("model-wait");
        let call = Box::new(move |model: &mut M| {
            drop(turn);
            if reply.is_closed() {
                return;
            }
            let start = Instant::now();
            let result = span.in_scope(|| work(model));
            if let Some(histogram) = seconds {
                histogram.observe(start.elapsed().as_secs_f64());
            }
            // Nobody to tell: the caller went away during the work.
            let _ = reply.send(result);
        });
        self.calls.send(call).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())
    }

    /// As [`ModelThread::call`], for an attempt: one that waits for its turn behind another stands still
    /// through no fault of its own.
    pub async fn call_in_turn<T, W>(&self, progress: &Arc<Progress>, work: W) -> Result<T, ModelGone>
    where
        T: Send + 'static,
        W: FnOnce(&mut M) -> T + Send + 'static,
    {
        let begun = Arc::new(AtomicBool::new(false));
        let (begins, own) = (Arc::clone(&begun), Arc::clone(progress));
        let call = self.call(move |model| {
            own.touch();
            begins.store(true, Ordering::Relaxed);
            work(model)
        });
        in_turn(progress, || begun.load(Ordering::Relaxed), call).await
    }

    /// What to say where work that a call gave to the model ends without a word.
    pub fn gone(&self) -> ModelGone {
        ModelGone { name: self.name.clone() }
    }
}

/// Awaits `work`. Until it has `begun` an attempt stands still through no fault of its own, so that its
/// progress is told for it.
pub async fn in_turn<T>(progress: &Progress, begun: impl Fn() -> bool, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(TURN, &mut work).await {
            Ok(result) => return result,
            Err(_) if begun() => return work.await,
            Err(_) => drop(progress.touch()),
        }
    }
}

fn serve<M>(mut model: M, mut waiting: mpsc::Receiver<Call<M>>, turn: fn(&mut M) -> bool) {
    let mut more = false;
    loop {
        let call = match waiting.try_recv() {
            Ok(call) => Some(call),
            Err(TryRecvError::Empty) if more => None,
            _ => match waiting.blocking_recv() {
                Some(call) => Some(call),
                None => return,
            },
        };
        let work = || match call {
            Some(call) => {
                call(&mut model);
                true
            }
            None => turn(&mut model),
        };
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(again) => more = again,
            Err(_) => {
                let name = thread::current().name().unwrap_or_default().to_owned();
                tracing::error!(thread = name, "a call of the model panicked: the worker ends");
                // Ends the calls that wait before the model's own drop can fail.
                drop(waiting);
                return;
            }
        }
    }
}
