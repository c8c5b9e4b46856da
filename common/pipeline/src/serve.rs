//! A stage as the program serves it: with settings, and with a model to load.

use std::fmt::Debug;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::Value;

use crate::stage::Stage;
use crate::telemetry::Metrics;

/// How the folder of a model is recognised.
#[derive(Clone, Copy)]
pub struct Layout {
    /// What such a model is for, in one word.
    pub kind: &'static str,
    /// The flag that names the model.
    pub flag: &'static str,
    /// A file that every such folder has.
    pub file: &'static str,
    /// The model at a place, or why there is none.
    pub find: fn(&Path) -> anyhow::Result<PathBuf>,
    /// The files of a repository that such a model needs, or why it is none.
    pub files: fn(&Offer<'_>) -> anyhow::Result<Vec<String>>,
}

/// What a repository, or a folder, holds.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Paths of all files.
    pub files: &'a [String],
    /// What the hub says of the configs; null where it says nothing.
    pub config: &'a Value,
    /// Weights in full precision are wanted, even where there are smaller ones.
    pub full: bool,
}

impl Offer<'_> {
    /// Whether there is a file of this path.
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file == path)
    }
}

/// A stage that the program can serve. The name of the stage is the name of its command.
pub trait Serve: Stage + Sized {
    /// Its settings. `up` takes those of all stages, so a program refuses two flags of one name: begin
    /// them with the stage's name.
    type Options: Args + Clone + Debug + Send + Sync + 'static;
    /// One line for `--help`.
    const ABOUT: &'static str;
    /// Its model's folder; none for a stage without a model.
    const LAYOUT: Option<Layout> = None;

    /// Name or folder of the model that these settings ask for.
    fn wanted(options: &Self::Options) -> &str {
        let _ = options;
        ""
    }

    /// Loads the model in `folder`, which is empty for a stage without one.
    fn load(
        options: &Self::Options,
        folder: &Path,
        metrics: &Metrics,
    ) -> impl Future<Output = anyhow::Result<Self>> + Send;
}

/// Loads a stage, and has `/metrics` say how long that took.
///
/// # Errors
/// As [`Serve::load`].
pub async fn load<S: Serve>(options: &S::Options, folder: &Path, metrics: &Metrics) -> anyhow::Result<S> {
    let began = Instant::now();
    let stage = S::load(options, folder, metrics).await?;
    metrics.loaded(S::NAME, stage.model(), began.elapsed().as_secs_f64());
    Ok(stage)
}
