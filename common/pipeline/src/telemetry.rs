//! Logs, metrics and traces.

mod collector;
mod doors;
mod labels;
mod metrics;
pub(crate) mod otlp;
mod phases;
mod process;
mod queues;
mod register;
mod sampler;
mod server;
mod within;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use anyhow::Context;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogFormat, TelemetryOptions};
pub use doors::Intaken;
pub use labels::Exemplar;
pub use metrics::{InFlight, Metrics, Yield};
pub use otlp::{flush, start as start_traces};
pub(crate) use phases::JobSpan;
use phases::Phases;
pub use phases::{entered, phase};
pub(crate) use process::resident_bytes;
pub use prometheus_client::metrics::histogram::Histogram;
pub(crate) use sampler::next;
pub use server::{Request, ServerSpan};
pub(crate) use within::parent;
pub use within::within;

/// Sends the process's logs to standard error, the times of phases to `metrics`, and traces to the
/// collector that the environment names. Once per process.
///
/// # Errors
/// A filter or a variable of OpenTelemetry that cannot be used.
pub fn init(options: &TelemetryOptions, metrics: &Arc<Metrics>) -> anyhow::Result<()> {
    let warnings = otlp::start()?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match options.format {
        LogFormat::Text => {
            let lines = fmt::layer().with_writer(stderr);
            // Left alone, the layer obeys NO_COLOR.
            let lines = if stderr().is_terminal() { lines } else { lines.with_ansi(false) };
            lines.with_filter(filter(&options.filter)?.and(Phases::hidden())).boxed()
        }
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(stderr);
            lines.with_filter(filter(&options.filter)?.and(Phases::hidden())).boxed()
        }
    };
    let phases = Phases(Arc::clone(metrics)).with_filter(Phases::filter());
    let logging = tracing_subscriber::registry().with(lines).with(phases).try_init();
    logging.context("log: there is a logger already")?;
    warnings.iter().for_each(|warning| tracing::warn!(warning, "a variable of OpenTelemetry is ignored"));
    Ok(())
}

fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let wrong = || format!("log: {text} is not allowed; allowed: a level, or module=level separated by commas");
    EnvFilter::builder().parse(text).with_context(wrong)
}
