//! Finds a nats-server that is new enough.

use std::path::Path;

use anyhow::{Context, anyhow};
use tokio::process::Command;

/// Older ones do not know `sync_interval`: they acknowledge what is not on the disk yet.
const OLDEST: (u32, u32) = (2, 10);

/// Asks `program` for its version and refuses one that is too old.
pub(crate) async fn check(program: &Path) -> anyhow::Result<()> {
    let shown = program.display();
    let run = Command::new(program).arg("--version").kill_on_drop(true).output().await;
    let output = run.with_context(|| {
        format!("nats-server: cannot run {shown}; install nats-server or name one with --nats-server")
    })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = parse(&said).ok_or_else(|| anyhow!("nats-server: {shown} --version says {said:?}"))?;
    let (major, minor) = OLDEST;
    anyhow::ensure!(
        version >= OLDEST,
        "nats-server: {shown} ({said}) is not allowed; allowed: version {major}.{minor} or newer"
    );
    Ok(())
}

/// `nats-server: v2.15.1` → (2, 15).
fn parse(said: &str) -> Option<(u32, u32)> {
    let (_, version) = said.rsplit_once('v')?;
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, parse};

    #[test]
    fn the_version_of_debian_12_is_too_old() {
        assert!(parse("nats-server: v2.9.10").unwrap() < OLDEST);
        assert!(parse("nats-server: v2.15.1").unwrap() > OLDEST);
        assert!(parse("nats-server: v2.12.0-RC.1").unwrap() > OLDEST);
        assert_eq!(parse("something else"), None);
    }
}
