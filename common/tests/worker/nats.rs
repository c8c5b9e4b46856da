//! A real nats-server with JetStream on a free port, killed when dropped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(crate) struct Nats {
    child: Child,
    pub(crate) url: String,
    _store: TempDir,
}

impl Nats {
    pub(crate) fn start() -> Self {
        let store = tempfile::tempdir().unwrap();
        let mut child = Command::new(binary())
            .args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"])
            .arg(store.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nats-server runs; `./dev models` fetches it");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut find = |wanted: &str| lines.by_ref().map(Result::unwrap).find(|line| line.contains(wanted)).unwrap();
        let line = find("Listening for client connections on");
        let url = format!("nats://127.0.0.1:{}", line.rsplit(':').next().unwrap());
        find("Server is ready");
        // The server must not block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, _store: store }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    let fetched = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/bin/nats-server"));
    if fetched.is_file() { fetched } else { PathBuf::from("nats-server") }
}
