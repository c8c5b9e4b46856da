//! What an intake is told.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use shanshui_pipeline::names;

use crate::watch::Watch;

/// Which bucket is watched, and where results go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Intake")]
pub struct IntakeOptions {
    /// Name of the intake: it reads the events on shanshui.intake.NAME. `streams apply --intake NAME` makes another one
    #[arg(long = "intake", env = "SHANSHUI_INTAKE", value_name = "NAME", default_value = "default", value_parser = intake_name)]
    pub intake: String,
    /// Bucket where recordings are dropped, in the store of --s3-endpoint [default: --s3-bucket]
    #[arg(long, env = "SHANSHUI_WATCH_BUCKET", value_name = "BUCKET")]
    pub watch_bucket: Option<String>,
    /// What the keys of recordings begin with; an empty one watches the whole bucket
    #[arg(long, env = "SHANSHUI_WATCH_PREFIX", value_name = "PREFIX", default_value = "inbox/")]
    pub watch_prefix: String,
    /// What the keys of results begin with, as results/; the rest is the key of the recording behind
    /// --watch-prefix [default: results lie beside the recording]
    #[arg(long, env = "SHANSHUI_RESULTS", value_name = "PREFIX", value_parser = results)]
    pub results: Option<String>,
    /// Seconds between two looks at the bucket, for a store that sends no events [default: events alone]
    #[arg(long, env = "SHANSHUI_POLL", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub poll: Option<u64>,
}

/// Everything that an intake needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// What it watches.
    pub watch: Watch,
    /// Where results go, unless beside the recordings.
    pub results: Option<String>,
    /// Between two looks at the bucket.
    pub poll: Option<Duration>,
    /// The lane of its jobs.
    pub lane: String,
    /// Fields of every job; a sidecar's count more.
    pub job: Map<String, Value>,
}

impl IntakeOptions {
    /// The settings, for a pipeline that works in `bucket` under `home`.
    ///
    /// # Errors
    /// Prefixes of which one hides the other.
    pub fn settings(
        &self,
        (bucket, home): (&str, &str),
        lane: &str,
        job: Map<String, Value>,
    ) -> anyhow::Result<Settings> {
        let watched = self.watch_bucket.as_deref().unwrap_or(bucket);
        let home = (watched == bucket).then_some(home);
        Ok(Settings {
            name: self.intake.clone(),
            watch: Watch::new(watched, &self.watch_prefix, home, self.results.as_deref())?,
            results: self.results.clone(),
            poll: self.poll.map(Duration::from_secs),
            lane: lane.to_owned(),
            job,
        })
    }
}

fn results(text: &str) -> Result<String, String> {
    let parts = text.strip_suffix('/').map(|text| text.split('/'));
    let whole = parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | "..")));
    if whole && text.len() <= 256 && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err("a prefix ends with '/' and has at most 256 bytes; leave the flag out to have results beside the recordings"
        .into())
}

/// Reads the name of an intake.
///
/// # Errors
/// Anything but one token.
pub fn intake_name(text: &str) -> Result<String, String> {
    if names::is_pool(text) {
        return Ok(text.to_owned());
    }
    Err("an intake has a name of 1 to 32 letters a-z, digits and '-'".into())
}
