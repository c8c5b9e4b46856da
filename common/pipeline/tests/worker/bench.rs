//! One worker with a stage that does what the test says, on real servers.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_nats::jetstream;
use bytes::Bytes;
use clap::Parser;
use futures::StreamExt;
use shanshui_pipeline::config::{NatsOptions, StreamSettings, WorkerOptions};
use shanshui_pipeline::context::Context;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::health::Health;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId, TextJob};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::stage::{Outcome, Stage};
use shanshui_pipeline::store::Store;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::worker::{self, Env};
use shanshui_pipeline::{Job, Made, Step};
use shanshui_tests::{Faults, Nats};
use tempfile::TempDir;

use crate::server::Server;

/// The pipeline of these tests: the stage under test is the first one.
pub(crate) const STEPS: &[Step] = &[Told::STEP, Step { stage: "paint", queue: TextJob::QUEUE, makes: "picture" }];

type Ending = Result<Outcome<TextJob>, Failure>;
type Script = dyn Fn(usize, Context) -> Pin<Box<dyn Future<Output = Ending> + Send>> + Send + Sync;

/// Real servers and a connection to each.
pub(crate) struct Bench {
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) url: String,
    nats: Option<Nats>,
    s3: Server,
    folder: TempDir,
}

/// A stage whose runs are told by the test.
#[derive(Clone)]
pub(crate) struct Told {
    script: Arc<Script>,
    runs: Arc<AtomicUsize>,
    model: String,
    together: u16,
    full: Arc<AtomicBool>,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    worker: WorkerOptions,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(StreamSettings { ack_wait_seconds: 2, ..StreamSettings::default() }).await
    }

    pub(crate) async fn start_with(settings: StreamSettings) -> Self {
        Self::over(settings, Nats::start).await
    }

    /// With a queue that does not wait for the disk, for many thousands of messages.
    pub(crate) async fn start_hasty() -> Self {
        let text =
            |store: &Path| format!("listen: \"127.0.0.1:-1\"\njetstream {{ store_dir: \"{}\" }}\n", store.display());
        Self::over(StreamSettings::default(), |store| Nats::with_config(store, &text(store))).await
    }

    async fn over(settings: StreamSettings, start: impl FnOnce(&Path) -> Nats) -> Self {
        let (folder, s3) = (tempfile::tempdir().unwrap(), Server::start().await.unwrap());
        let nats = start(&folder.path().join("nats"));
        let url = nats.url();
        let line = Line::parse_from(["test", "--nats-url", &url]);
        let queue = Queue::connect(&line.nats, "test", STEPS).await.unwrap();
        queue.wait_connected().await;
        queue.apply(&settings, false).await.unwrap();
        let store = Store::connect(&s3.options(&[])).await.unwrap();
        Self { queue, store, url, nats: Some(nats), s3, folder }
    }

    /// A client that knows nothing of our code.
    pub(crate) async fn client(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(&self.url).await.unwrap())
    }

    /// An object of the bucket, as JSON.
    pub(crate) async fn json(&self, key: &str) -> serde_json::Value {
        serde_json::from_slice(&self.store.get(key, 1 << 20).await.unwrap()).unwrap()
    }

    /// What the store does wrong.
    pub(crate) fn faults(&self) -> &Faults {
        self.s3.faults()
    }

    /// Removes an object, as a careless hand does.
    pub(crate) async fn remove(&self, key: &str) {
        std::fs::remove_file(self.s3.file(key)).unwrap();
    }

    /// Kills the queue; what is in it stays.
    pub(crate) fn kill_nats(&mut self) {
        self.nats = None;
    }

    /// Starts the queue again, where it was and with what was in it.
    pub(crate) fn start_nats(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        self.nats = Some(Nats::start_again(&self.folder.path().join("nats"), port));
    }

    pub(crate) fn env(&self) -> Env {
        Env {
            queue: self.queue.clone(),
            store: self.store.clone(),
            health: Arc::new(Health::default()).process(),
            metrics: Arc::new(Metrics::new("test")),
            options: Line::parse_from(["test", "--worker-name", "w1", "--attempts", "3"]).worker,
        }
    }

    /// Runs a worker until nothing is pending; returns the number of deliveries.
    pub(crate) async fn drain(&self, stage: &Told) -> usize {
        worker::run_until_empty(stage.clone(), self.env(), Shutdown::manual()).await.unwrap()
    }

    /// A job that is complete after its stage.
    pub(crate) fn job(&self, id: &str) -> AudioJob {
        let mut job = AudioJob::new(AudioSource::Inline(Bytes::from_static(b"sound")));
        job.meta.id = Some(JobId::parse("id", id).unwrap());
        job.meta.until = Some("transcript".into());
        job
    }

    pub(crate) async fn submit(&self, id: &str) -> JobId {
        self.queue.submit("default", &self.job(id)).await.unwrap();
        JobId::parse("id", id).unwrap()
    }

    /// Submits a job that goes on to the next stage.
    pub(crate) async fn submit_on(&self, id: &str) -> JobId {
        let id = JobId::parse("id", id).unwrap();
        let mut job = AudioJob::new(AudioSource::Inline(Bytes::from_static(b"sound")));
        job.meta.id = Some(id.clone());
        self.queue.submit("default", &job).await.unwrap();
        id
    }

    /// Kinds of all events of a job up to its final one.
    pub(crate) async fn kinds(&self, job: &JobId) -> Vec<&'static str> {
        let events: Vec<_> = self.queue.follow(job).await.unwrap().collect().await;
        events.into_iter().map(|event| event.unwrap().data.kind()).collect()
    }

    /// Waits for the first event of a kind.
    pub(crate) async fn wait_for(&self, job: &JobId, kind: &str) -> Envelope {
        let mut events = self.queue.follow(job).await.unwrap();
        loop {
            let event = events.next().await.expect("the event comes before the end").unwrap();
            if event.data.kind() == kind {
                return event;
            }
        }
    }
}

impl Told {
    /// `script` gets the number of the run, from 0, and says how it ends.
    pub(crate) fn new<F, R>(script: F) -> Self
    where
        F: Fn(usize, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Ending> + Send + 'static,
    {
        Self {
            script: Arc::new(move |run, context| Box::pin(script(run, context))),
            runs: Arc::default(),
            model: "default".into(),
            together: 1,
            full: Arc::default(),
        }
    }

    /// Ends every job at once.
    pub(crate) fn done() -> Self {
        Self::new(|_, _| async { done() })
    }

    /// The same stage with a model of this name.
    pub(crate) fn of_model(self, model: &str) -> Self {
        Self { model: model.into(), ..self }
    }

    /// The same stage, which does so many jobs better together, and has no room while `full` is set.
    pub(crate) fn together(self, together: u16, full: &Arc<AtomicBool>) -> Self {
        Self { together, full: Arc::clone(full), ..self }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

impl Stage for Told {
    const NAME: &'static str = "transcribe";
    const MAKES: &'static str = "transcript";
    type Input = AudioJob;
    type Output = TextJob;

    async fn run(&self, _: AudioJob, context: &Context) -> Ending {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        (self.script)(run, context.clone()).await
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn together(&self) -> u16 {
        self.together
    }

    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst)
    }
}

pub(crate) fn done() -> Ending {
    Ok(Outcome::Done(Made::default()))
}
