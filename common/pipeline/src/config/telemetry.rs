//! What the process tells about itself.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

/// Logs and the address of the metrics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryOptions {
    /// What to log: error, warn, info, debug, trace, or by module as info,shanshui_pipeline=debug
    #[arg(id = "log", long = "log", env = "SHANSHUI_LOG", default_value = "info", global = true)]
    pub filter: String,
    /// text for people, json (one object a line) for machines; both go to standard error
    #[arg(id = "log_format", long = "log-format", env = "SHANSHUI_LOG_FORMAT", default_value = "text", global = true)]
    pub format: LogFormat,
    /// Address that serves /metrics, /livez and /readyz, as 0.0.0.0:9090; nothing without one
    #[arg(id = "http", long = "http", env = "SHANSHUI_HTTP", global = true)]
    pub http: Option<SocketAddr>,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; in colour on a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON object a line.
    Json,
}
