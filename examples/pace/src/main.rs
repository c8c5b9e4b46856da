//! A pipeline of one stage whose model computes nothing: it takes as long as it is told. Trials of
//! scaling and of queues run it where a GPU would work (`./dev scale`). Everything else is real: the
//! queue, the store, leases, events, receipts, drains.

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use shanshui::Served;
use shanshui_pipeline::job::TextJob;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::{Context, Failure, Made, ObjectKey, Outcome, Serve, Stage};

/// What a worker is told at start.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pace")]
struct PaceOptions {
    /// Seconds that a job takes
    #[arg(long, env = "SHANSHUI_PACE_SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pace_seconds: f64,
    /// Seconds that loading the model takes
    #[arg(long, env = "SHANSHUI_PACE_LOAD_SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pace_load_seconds: f64,
}

struct Pace {
    seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || "allowed: seconds from 0 to 86400".to_owned();
    text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds)).ok_or_else(wrong)
}

impl Stage for Pace {
    const NAME: &'static str = "paint";
    const MAKES: &'static str = "picture";
    type Input = TextJob;
    type Output = Infallible;

    async fn run(&self, job: TextJob, context: &Context) -> Result<Outcome<Infallible>, Failure> {
        context.progress.report(0.0, self.seconds);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(self.seconds)) => {}
            () = context.stop.cancelled() => return Err(Failure::Interrupted),
        }
        context.progress.report(self.seconds, self.seconds);
        // The same bytes whenever the job runs, as a picture from a seed is.
        let key = ObjectKey::File { job: &context.job, name: "picture.txt" };
        let picture = context.store.put(&key, job.text.into()).await?.object("picture");
        Ok(Outcome::Done(Made::new(vec![picture], json!({ "pace": self.seconds }))))
    }
}

impl Serve for Pace {
    type Options = PaceOptions;
    const ABOUT: &'static str = "Run one worker that takes its time";

    async fn load(options: &PaceOptions, _: &Path, _: &Metrics) -> anyhow::Result<Self> {
        tokio::time::sleep(Duration::from_secs_f64(options.pace_load_seconds)).await;
        Ok(Self { seconds: options.pace_seconds })
    }
}

fn main() -> ExitCode {
    shanshui::main([Served::of::<Pace>()])
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_that_are_none_are_refused() {
        assert_eq!(seconds("0.25"), Ok(0.25));
        for wrong in ["", "x", "-1", "NaN", "inf", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
