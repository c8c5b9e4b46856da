//! Finds a nats-server that is new enough.

use std::path::Path;

use anyhow::{Context, anyhow};
use shanshui_pipeline::queue::{OLDEST_SERVER as OLDEST, server_version};
use tokio::process::Command;

/// Asks `program` for its version and refuses one that is too old.
pub(crate) async fn check(program: &Path) -> anyhow::Result<()> {
    let shown = program.display();
    let run = Command::new(program).arg("--version").kill_on_drop(true).output().await;
    let output = run.with_context(|| {
        format!("nats-server: cannot run {shown}; install nats-server or name one with --nats-server")
    })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = said.rsplit_once('v').and_then(|(_, version)| server_version(version));
    let version = version.ok_or_else(|| anyhow!("nats-server: {shown} --version says {said:?}"))?;
    let (major, minor, patch) = OLDEST;
    anyhow::ensure!(
        version >= OLDEST,
        "nats-server: {shown} ({said}) is not allowed; allowed: version {major}.{minor}.{patch} or newer"
    );
    Ok(())
}
