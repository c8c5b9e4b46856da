//! A nats-server with JetStream for one test.

use std::path::Path;
use std::process::Command;

use super::paths::nats_server;
use super::process::Process;
use super::wait::PATIENCE;

/// A running nats-server; its store outlives it.
pub struct Nats {
    _process: Process,
    port: u16,
}

impl Nats {
    /// A server on a free port that keeps its streams in `store`.
    pub fn start(store: &Path) -> Self {
        Self::on_port(store, None)
    }

    /// A server on a port that was free a moment ago, where clients expect it.
    pub fn start_again(store: &Path, port: u16) -> Self {
        Self::on_port(store, Some(port))
    }

    fn on_port(store: &Path, port: Option<u16>) -> Self {
        let listen = port.map_or("-1".to_owned(), |port| port.to_string());
        let text = format!(
            "listen: \"127.0.0.1:{listen}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            store.display()
        );
        Self::with_config(store, &text)
    }

    /// A server with this configuration, which must be for `store`.
    pub(crate) fn with_config(store: &Path, text: &str) -> Self {
        std::fs::create_dir_all(store).expect("a folder for the streams");
        let config = store.join("nats.conf");
        std::fs::write(&config, text).expect("a config file");
        let process = Process::spawn("nats-server", Command::new(nats_server()).arg("--config").arg(&config));
        let line = process.says("Listening for client connections on", PATIENCE);
        process.says("Server is ready", PATIENCE);
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port in the line");
        Self { _process: process, port }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}
