//! Logs and metrics.

mod memory;
mod metrics;

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogFormat, TelemetryOptions};
pub(crate) use memory::resident_bytes;
pub use metrics::{InFlight, Metrics};

/// Sends the process's logs to standard error. Once per process.
pub fn init(options: &TelemetryOptions) -> anyhow::Result<()> {
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match options.format {
        LogFormat::Text => {
            let lines = fmt::layer().with_writer(stderr);
            // Left alone, the layer obeys NO_COLOR.
            let lines = if stderr().is_terminal() { lines } else { lines.with_ansi(false) };
            lines.with_filter(filter(&options.filter)?).boxed()
        }
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(stderr);
            lines.with_filter(filter(&options.filter)?).boxed()
        }
    };
    tracing_subscriber::registry().with(lines).try_init().context("log: there is a logger already")
}

fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let wrong = || format!("log: {text} is not allowed; allowed: a level, or module=level separated by commas");
    EnvFilter::builder().parse(text).with_context(wrong)
}
