//! A place for a worker of one stage: whoever leaves it is followed by another one.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use shanshui_pipeline::failure::DeviceLost;
use shanshui_pipeline::health::Part;
use shanshui_pipeline::serve;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker::{self, Env};
use shanshui_pipeline::{Serve, causes};

use crate::data::DataDir;
use crate::models::locate::ModelFolders;

/// Pause before a worker that left is started anew; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

type Future<T> = Pin<Box<dyn std::future::Future<Output = anyhow::Result<T>> + Send>>;
/// A loaded stage that waits to be run.
type Ready = Box<dyn FnOnce(Env, Shutdown) -> Future<()> + Send>;
type Load = dyn Fn(PathBuf, Env) -> Future<Ready> + Send + Sync;
type Find = dyn Fn(&ModelFolders, &DataDir) -> anyhow::Result<PathBuf> + Send + Sync;

/// A place for a worker.
pub(crate) struct Seat {
    stage: &'static str,
    find: Arc<Find>,
    load: Arc<Load>,
    folder: PathBuf,
    ready: Option<Ready>,
}

impl Seat {
    /// A place for a worker of `S`.
    pub(crate) fn of<S: Serve>(options: &S::Options) -> Self {
        let (own, options) = (options.clone(), options.clone());
        let find = move |folders: &ModelFolders, data: &DataDir| folders.of_stage::<S>(&own, data);
        let load = move |folder: PathBuf, env: Env| -> Future<Ready> {
            let options = options.clone();
            Box::pin(async move {
                let stage = serve::load::<S>(&options, &folder, &env.metrics).await?;
                let ready: Ready = Box::new(|env, shutdown| Box::pin(worker::run(stage, env, shutdown)));
                Ok(ready)
            })
        };
        Self { stage: S::NAME, find: Arc::new(find), load: Arc::new(load), folder: PathBuf::new(), ready: None }
    }

    /// Finds the folder of its model.
    pub(crate) fn find_model(self, folders: &ModelFolders, data: &DataDir) -> anyhow::Result<Self> {
        let folder = (self.find)(folders, data)?;
        Ok(Self { folder, ..self })
    }

    /// Loads the model for the first worker.
    pub(crate) async fn load(&mut self, env: &Env) -> anyhow::Result<()> {
        let health = env.health.health().scope(self.stage);
        health.down(Part::Worker, "the model is being loaded");
        self.ready = Some((self.load)(self.folder.clone(), env.clone()).await?);
        health.up(Part::Worker);
        Ok(())
    }

    /// Keeps a worker at work until the drain. Queue, store and the other workers go on when one
    /// leaves.
    ///
    /// # Errors
    /// The worker's device is lost: no other worker of this process can use it.
    pub(crate) async fn keep(mut self, env: Env, shutdown: Shutdown) -> anyhow::Result<()> {
        let env = Env { health: env.health.health().scope(self.stage), ..env };
        let mut pause = PAUSE;
        loop {
            let ended = self.serve(&env, shutdown.child()).await;
            if shutdown.drain.is_cancelled() {
                return Ok(());
            }
            if ended.as_ref().is_err_and(|error| error.is::<DeviceLost>()) {
                return ended;
            }
            let why = ended.map_or_else(|error| causes(&error), |()| "it ended without an error".into());
            tracing::error!(stage = self.stage, error = why, "the worker ended; starting another one");
            env.health.down(Part::Worker, format!("the worker ended: {why}"));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.drain.cancelled() => return Ok(()),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn serve(&mut self, env: &Env, shutdown: Shutdown) -> anyhow::Result<()> {
        let ready = match self.ready.take() {
            Some(ready) => ready,
            None => (self.load)(self.folder.clone(), env.clone()).await?,
        };
        env.health.up(Part::Worker);
        ready(env.clone(), shutdown).await
    }
}
