//! A nats-server as a child that cannot outlive this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::data::open_lock;

/// Bytes of one message, the most that NATS recommends; larger recordings go by the bucket.
const MAX_PAYLOAD: u64 = 8 << 20;
/// A store with much in it takes a while to open.
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(15);
/// Pause between two looks for the file that the server writes when it listens.
const LOOK: Duration = Duration::from_millis(20);

/// Becomes nats-server, and leaves a watchdog behind that holds a pipe from us.
///
/// The pipe closes when we close it or die, `kill -9` included; then the watchdog stops the
/// server, whose process id is the shell's own, for `exec` keeps it. A line in the pipe dismisses
/// the watchdog: the server has ended before, and its process id may be somebody else's by now.
const LIFELINE: &str = r#"exec 3<&0
(read -r _ <&3 || kill "$$") &
exec "$@" </dev/null 3<&-"#;

/// The running server.
pub(crate) struct NatsServer {
    child: Child,
    /// Closing it stops the server.
    lifeline: Option<ChildStdin>,
    url: String,
    log: PathBuf,
}

impl NatsServer {
    /// Starts `program` with its files in `folder` and waits until it listens; port 0 lets it
    /// choose one.
    pub(crate) async fn start(program: &Path, folder: &Path, port: u16) -> anyhow::Result<Self> {
        // Held by the server as well: one that is still stopping keeps its store to itself.
        let lock = store_lock(folder.join("server.lock")).await?;
        clear_ports(folder)?;
        let config = folder.join("nats.conf");
        let log = folder.join("nats-server.log");
        fs::write(&config, configuration(folder, &log, port))?;
        let mut command = Command::new("sh");
        command.args(["-c", LIFELINE, "sh"]).arg(program).arg("-c").arg(&config);
        // Ctrl-C goes to the whole foreground group; the server must outlive the drain.
        command.process_group(0).kill_on_drop(true).stdin(Stdio::piped());
        command.stdout(Stdio::from(lock)).stderr(fs::File::create(folder.join("nats-server.err"))?);
        let mut child = command.spawn().context("nats-server: cannot start sh")?;
        let lifeline = child.stdin.take();
        let mut server = Self { child, lifeline, url: String::new(), log };
        server.url = server.listening(folder).await?;
        Ok(server)
    }

    /// Address for clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends only if the server does, with the reason.
    pub(crate) async fn gone(&mut self) -> anyhow::Error {
        let ended = self.child.wait().await;
        let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = last_line(&self.log).unwrap_or_default();
        anyhow!("nats-server has ended ({status}): {said}; see {}", self.log.display())
    }

    /// Stops the server and waits until its store is closed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut lifeline) = self.lifeline.take() else { return Ok(()) };
        if self.child.try_wait()?.is_some() {
            use tokio::io::AsyncWriteExt;
            // A watchdog that is gone already needs no dismissal.
            let _ = lifeline.write_all(b"ended\n").await;
            return Ok(());
        }
        drop(lifeline);
        if timeout(STOP, self.child.wait()).await.is_err() {
            tracing::warn!("nats-server does not stop; killing it");
            self.child.kill().await?;
        }
        Ok(())
    }

    /// The server writes its addresses into a file once it listens.
    async fn listening(&mut self, folder: &Path) -> anyhow::Result<String> {
        let id = self.child.id().context("nats-server: it ended at once")?;
        let path = folder.join(format!("nats-server_{id}.ports"));
        let until = Instant::now() + START;
        loop {
            // The file may be half written; a later look sees all of it.
            if let Some(url) = fs::read(&path).ok().and_then(|text| address(&text)) {
                return Ok(url);
            }
            if self.child.try_wait()?.is_some() {
                return Err(self.gone().await);
            }
            if Instant::now() > until {
                bail!("nats-server: not ready after {} s; see {}", START.as_secs(), self.log.display());
            }
            sleep(LOOK).await;
        }
    }
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

fn address(text: &[u8]) -> Option<String> {
    serde_json::from_slice::<Ports>(text).ok()?.nats.into_iter().next()
}

/// Files of servers that were killed: a new one might get the same process id.
fn clear_ports(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ports") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn configuration(folder: &Path, log: &Path, port: u16) -> String {
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let (folder, log, store) = (quoted(folder), quoted(log), quoted(&folder.join("jetstream")));
    format!(
        "# Written anew at every start of `shanshui up`.
server_name: \"shanshui\"
host: \"127.0.0.1\"
port: {port}
max_payload: {MAX_PAYLOAD}
ports_file_dir: {folder}
logfile: {log}
logfile_size_limit: 8388608
jetstream {{
  store_dir: {store}
  # An acknowledged job is on the disk, not only in the page cache.
  sync_interval: always
}}
"
    )
}

fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// Waits for a server that is still stopping, as after a `kill -9` of the process above it.
async fn store_lock(path: PathBuf) -> anyhow::Result<fs::File> {
    let file = open_lock(&path)?;
    let (locked, waiting) = oneshot::channel();
    // A thread of its own: one of the runtime's would hold up the exit.
    std::thread::spawn(move || {
        let taken = file.lock().map(|()| file);
        // Nobody waits any more: the lock goes with the channel.
        let _ = locked.send(taken);
    });
    match timeout(STOP, waiting).await {
        Ok(taken) => taken?.with_context(|| format!("nats-server: cannot lock {}", path.display())),
        Err(_) => bail!("nats-server: another one still works on this data directory; it holds {}", path.display()),
    }
}

fn last_line(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().rfind(|line| line.contains("[FTL]") || line.contains("[ERR]")).map(str::to_owned)
}
