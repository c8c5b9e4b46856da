//! A pipeline of two stages that do nothing: what a job takes then is the pipeline's own
//! (`./dev bench pipeline`).

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use shanshui::Served;
use shanshui_pipeline::job::{AudioJob, TextJob};
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::{Context, Failure, Made, Outcome, Serve, Stage};

/// There is nothing to set.
#[derive(Debug, Clone, Args)]
struct NoOptions {}

/// Passes on.
struct First;

/// Ends.
struct Second;

fn nothing() -> Made {
    Made::new(Vec::new(), json!({}))
}

impl Stage for First {
    const NAME: &'static str = "transcribe";
    const MAKES: &'static str = "transcript";
    type Input = AudioJob;
    type Output = TextJob;

    async fn run(&self, job: AudioJob, _: &Context) -> Result<Outcome<TextJob>, Failure> {
        Ok(Outcome::Next(TextJob { text: "nothing".to_owned(), meta: job.meta }, nothing()))
    }
}

impl Stage for Second {
    const NAME: &'static str = "paint";
    const MAKES: &'static str = "picture";
    type Input = TextJob;
    type Output = Infallible;

    async fn run(&self, _: TextJob, _: &Context) -> Result<Outcome<Infallible>, Failure> {
        Ok(Outcome::Done(nothing()))
    }
}

impl Serve for First {
    type Options = NoOptions;
    const ABOUT: &'static str = "Run one worker that passes jobs on";

    async fn load(_: &NoOptions, _: &Path, _: &Metrics) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

impl Serve for Second {
    type Options = NoOptions;
    const ABOUT: &'static str = "Run one worker that ends jobs";

    async fn load(_: &NoOptions, _: &Path, _: &Metrics) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

fn main() -> ExitCode {
    shanshui::main([Served::of::<First>(), Served::of::<Second>()])
}
