//! A nats-server with JetStream for one test.

use std::path::Path;
use std::process::Command;

use super::disk::Disk;
use super::paths::nats_server;
use super::process::Process;
use super::wait::PATIENCE;

/// A running nats-server; its store outlives it.
pub struct Nats {
    process: Process,
    port: u16,
}

impl Nats {
    /// A server on a free port that keeps its streams in `store`.
    pub fn start(store: &Path) -> Self {
        Self::run(Command::new(nats_server()), store, None, "")
    }

    /// A server on a port that was free a moment ago, where clients expect it.
    pub fn start_again(store: &Path, port: u16) -> Self {
        Self::run(Command::new(nats_server()), store, Some(port), "")
    }

    /// A server that keeps its streams on a small disk; `limit` is its `max_file_store`.
    pub fn start_on(disk: &Disk, port: Option<u16>, limit: Option<&str>) -> Self {
        let limit = limit.map(|limit| format!(", max_file_store: {limit}")).unwrap_or_default();
        Self::run(disk.inside(&nats_server()), disk.place(), port, &limit)
    }

    fn run(server: Command, store: &Path, port: Option<u16>, more: &str) -> Self {
        let listen = port.map_or("-1".to_owned(), |port| port.to_string());
        let text = format!(
            "listen: \"127.0.0.1:{listen}\"\njetstream {{ store_dir: \"{}\", sync_interval: always{more} }}\n",
            store.display()
        );
        Self::configured(server, store, &text)
    }

    /// A server with this configuration, which must be for `store`.
    pub fn with_config(store: &Path, text: &str) -> Self {
        Self::configured(Command::new(nats_server()), store, text)
    }

    fn configured(mut server: Command, store: &Path, text: &str) -> Self {
        std::fs::create_dir_all(store).expect("a folder for the streams");
        let config = store.with_extension("conf");
        std::fs::write(&config, text).expect("a config file");
        let process = Process::spawn("nats-server", server.arg("--config").arg(&config));
        let line = process.says("Listening for client connections on", PATIENCE);
        process.says("Server is ready", PATIENCE);
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port in the line");
        Self { process, port }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process: to be stopped, to be asked what it said.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
