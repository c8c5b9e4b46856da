//! The command line without any server: help, settings, exit codes, models, the data directory.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

#[path = "cli/program.rs"]
mod program;

#[path = "cli/gpu.rs"]
mod gpu;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/hub.rs"]
mod hub;
#[path = "cli/jobs.rs"]
mod jobs;
#[path = "cli/models.rs"]
mod models;
#[path = "cli/settings.rs"]
mod settings;
#[path = "cli/up.rs"]
mod up;
