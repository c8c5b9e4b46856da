//! Queue, store and workers together.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::Client;
use super::disk::Disk;
use super::nats::Nats;
use super::objects::{ACCESS_KEY, BUCKET, Objects, SECRET_KEY};
use super::paths::{clean, picture_model, scratch, shanshui, whisper};
use super::process::Process;
use super::proxy::Proxy;
use super::wait::PATIENCE;

/// A queue and a store with streams and bucket made, and no worker yet.
pub struct Stack {
    // The servers go before the folder that they write into.
    nats: Option<Nats>,
    objects: Objects,
    url: String,
    proxies: Option<[Proxy; 2]>,
    disk: Option<(Disk, Option<&'static str>)>,
    folder: TempDir,
}

/// One stack for every test that breaks nothing, with Whisper base and one worker per stage.
pub fn shared() -> &'static Stack {
    static SHARED: OnceLock<(Stack, [Process; 2])> = OnceLock::new();
    let (stack, _) = SHARED.get_or_init(|| {
        let stack = Stack::start();
        let workers = [stack.worker("transcribe", "ear"), stack.worker("paint", "hand")];
        (stack, workers)
    });
    stack
}

impl Stack {
    /// With the product's own settings.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings for `streams apply`.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::without_proxies().applied(settings)
    }

    /// With a proxy before the queue and one before the store: our binary sees only these, while
    /// clients of the tests see the servers themselves.
    pub fn behind_proxies(settings: &[&str]) -> Self {
        let mut stack = Self::without_proxies();
        let nats = stack.url.trim_start_matches("nats://");
        let s3 = stack.objects.endpoint();
        stack.proxies = Some([Proxy::start(nats), Proxy::start(s3.trim_start_matches("http://"))]);
        stack.applied(settings)
    }

    /// With the streams on a disk of so many MiB, of which the server may believe that it is
    /// larger (`limit` is its `max_file_store`).
    pub fn on_disk(mib: u32, limit: Option<&'static str>, settings: &[&str]) -> Self {
        let folder = scratch();
        let disk = Disk::mount(&folder.path().join("disk"), mib);
        let nats = Nats::start_on(&disk, None, limit);
        let objects = Objects::start(&folder.path().join("s3"));
        let url = nats.url();
        Self { url, nats: Some(nats), objects, proxies: None, disk: Some((disk, limit)), folder }.applied(settings)
    }

    /// With a queue that others run, whether it is ready yet or not; its addresses are separated by
    /// commas.
    pub fn on_queue(url: &str, settings: &[&str]) -> Self {
        let folder = scratch();
        let objects = Objects::start(&folder.path().join("s3"));
        let stack = Self { url: url.to_owned(), nats: None, objects, proxies: None, disk: None, folder };
        let deadline = Instant::now() + PATIENCE;
        // A cluster first has to elect its leaders.
        while !stack.run(&[&["streams", "apply"], settings].concat()).status.success() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(500));
        }
        stack.applied(settings)
    }

    /// With a store that the caller starts over a folder, for instance in a process of its own.
    pub fn with_store(start: impl FnOnce(&Path) -> Objects, settings: &[&str]) -> Self {
        Self::around(start).applied(settings)
    }

    fn without_proxies() -> Self {
        Self::around(Objects::start)
    }

    fn around(start: impl FnOnce(&Path) -> Objects) -> Self {
        let folder = scratch();
        let nats = Nats::start(&folder.path().join("nats"));
        let objects = start(&folder.path().join("s3"));
        Self { url: nats.url(), nats: Some(nats), objects, proxies: None, disk: None, folder }
    }

    fn applied(self, settings: &[&str]) -> Self {
        let applied = self.run(&[&["streams", "apply"], settings].concat());
        assert!(applied.status.success(), "streams apply: {}", String::from_utf8_lossy(&applied.stderr));
        self
    }

    /// A worker of `stage` by the name of `name`, with the real models.
    pub fn worker(&self, stage: &str, name: &str) -> Process {
        Process::spawn(name, &mut self.worker_command(stage, name))
    }

    /// The command line of a worker, to be changed before it starts.
    pub fn worker_command(&self, stage: &str, name: &str) -> Command {
        let mut command = self.command(&[stage]);
        command.env("SHANSHUI_WORKER_NAME", name);
        // A stage takes what is its own.
        command.env("SHANSHUI_WHISPER", whisper("base")).env("SHANSHUI_PICTURE_MODEL", picture_model());
        command
    }

    /// Our binary, pointed at this queue and this store.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clean(shanshui());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("SHANSHUI_NATS_URL", self.proxied_url())
            .env("SHANSHUI_S3_ENDPOINT", self.proxied_endpoint())
            .env("SHANSHUI_S3_BUCKET", BUCKET)
            .env("SHANSHUI_S3_ACCESS_KEY", ACCESS_KEY)
            .env("SHANSHUI_S3_SECRET_KEY", SECRET_KEY);
        command
    }

    /// Runs our binary to its end.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.command(arguments).output().expect("shanshui starts")
    }

    /// A client for the runtime of one test.
    pub async fn client(&self) -> Client<'_> {
        Client::connect(self).await
    }

    /// Where the queue is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where our binary finds the queue.
    pub fn proxied_url(&self) -> String {
        let proxied = self.proxies.as_ref().map(|[nats, _]| format!("nats://{}", nats.address()));
        proxied.unwrap_or_else(|| self.url.clone())
    }

    fn proxied_endpoint(&self) -> String {
        let proxied = self.proxies.as_ref().map(|[_, s3]| format!("http://{}", s3.address()));
        proxied.unwrap_or_else(|| self.objects.endpoint())
    }

    /// The proxy before the queue.
    pub fn nats_proxy(&self) -> &Proxy {
        &self.proxies.as_ref().expect("a stack behind proxies")[0]
    }

    /// The proxy before the store.
    pub fn s3_proxy(&self) -> &Proxy {
        &self.proxies.as_ref().expect("a stack behind proxies")[1]
    }

    /// The disk of the queue.
    pub fn disk(&self) -> &Disk {
        &self.disk.as_ref().expect("a stack on a small disk").0
    }

    /// The store.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// A folder for this stack's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server of the queue, while it runs.
    pub fn nats(&self) -> &Nats {
        self.nats.as_ref().expect("a running nats-server")
    }

    /// Stops the queue; what is in it stays.
    pub fn stop_nats(&mut self) {
        self.nats = None;
    }

    /// Starts the queue again, on the same port and with what was in it.
    pub fn start_nats(&mut self) {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        self.nats = Some(match &self.disk {
            Some((disk, limit)) => Nats::start_on(disk, Some(port), *limit),
            None => Nats::start_again(&self.folder.path().join("nats"), port),
        });
    }
}

/// Waits until a process has ended well.
pub fn ends_well(process: &Process) {
    let exit = process.ends(PATIENCE);
    assert!(exit.success(), "{exit}; it said:\n{}", process.log());
}
