//! The intake of `up`: the bucket is a folder of this machine, and tells nothing of itself.

use shanshui_intake::{Intake, IntakeOptions, Settings};
use shanshui_pipeline::worker::Env;
use tokio_util::sync::CancellationToken;

/// Seconds between two looks at the bucket.
const POLL: u64 = 2;
/// The bucket that `up` makes.
const BUCKET: &str = "shanshui";

/// What the intake is told, if there is to be one.
///
/// # Errors
/// A prefix that holds the pipeline's own objects.
pub(super) fn settings(prefix: Option<&str>) -> anyhow::Result<Option<Settings>> {
    let Some(prefix) = prefix else { return Ok(None) };
    let (intake, watch_prefix) = ("default".to_owned(), prefix.to_owned());
    let options = IntakeOptions { intake, watch_bucket: None, watch_prefix, results: None, poll: Some(POLL) };
    options.settings((BUCKET, ""), "default", serde_json::Map::new()).map(Some)
}

/// Takes recordings until `stop`.
///
/// # Errors
/// A consumer is missing, or the bucket cannot be listed.
pub(super) async fn serve(prefix: Option<&str>, env: Env, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(settings) = settings(prefix)? else { return Ok(()) };
    let Env { queue, store, health, metrics, .. } = env;
    Intake::start((queue, store), settings, health, metrics).await?.serve(stop).await;
    Ok(())
}
