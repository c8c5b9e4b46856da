//! Stores that nobody here wrote, each as a process: the same checks for all of them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use shanshui_tests::{
    BUCKET, Nats, PATIENCE, Process, clean, client_of, picture_model, recording, scratch, shanshui, until, whisper,
};

use crate::clients::{fetched, foreign, passes, told};

/// What s3rver has as its only key and secret.
const FIXED: [&str; 2] = ["S3RVER", "S3RVER"];
const KEYS: [&str; 2] = ["tester", "a-secret-of-the-tests"];

/// The servers that SeaweedFS consists of; each has two ports.
const PARTS: [&str; 4] = ["master", "volume", "filer", "s3"];

/// One store and what it is known to do; our program finds out by itself.
struct Store {
    process: Process,
    endpoint: String,
    keys: [&'static str; 2],
    /// It refuses a wrong secret.
    refuses: bool,
    /// It honours `If-None-Match`.
    conditional: bool,
    /// It keeps metadata.
    metadata: bool,
    folder: TempDir,
}

#[test]
fn moto_holds_what_the_pipeline_makes() {
    let folder = scratch();
    let server = command(&foreign("moto_server"), folder.path(), &["-H", "127.0.0.1", "-p", "0"]);
    let store = Store::start("moto", server, "Running on", folder);
    Store { refuses: false, ..store }.holds();
}

#[test]
fn rclone_holds_what_the_pipeline_makes() {
    let folder = scratch();
    let data = folder.path().join("data").display().to_string();
    fs::create_dir(&data).expect("a folder for the objects");
    let mut server = command(&foreign("rclone"), folder.path(), &["serve", "s3", "--addr", "127.0.0.1:0"]);
    server.args(["--config", "/dev/null", "--auth-key", &KEYS.join(",")]).arg(data);
    let store = Store::start("rclone", server, "Starting s3 server on", folder);
    Store { conditional: false, metadata: false, ..store }.holds();
}

#[test]
fn s3rver_holds_what_the_pipeline_makes() {
    let folder = scratch();
    let mut server = command(Path::new("node"), folder.path(), &[]);
    server.arg(fetched("node/node_modules/s3rver/bin/s3rver.js"));
    server.args(["-a", "127.0.0.1", "-p", "0", "-d"]).arg(folder.path());
    let store = Store::start("s3rver", server, "S3rver listening on", folder);
    Store { keys: FIXED, refuses: false, conditional: false, ..store }.holds();
}

#[test]
fn seaweedfs_holds_what_the_pipeline_makes() {
    let folder = scratch();
    let ports = free_ports::<8>();
    let mut server = command(&foreign("weed"), folder.path(), &["server", "-filer", "-s3"]);
    // It takes seven volumes a bucket, and tells its maker how it is used unless it is told not to.
    server.args(["-ip=127.0.0.1", "-volume.max=40", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]);
    server.args(["-dir=.", "-s3.config=keys.json", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
    let parts = || PARTS.iter().zip(ports.chunks(2));
    for (part, ports) in parts() {
        server.arg(format!("-{part}.port={}", ports[0])).arg(format!("-{part}.port.grpc={}", ports[1]));
    }
    let keys = format!(r#"{{ "accessKey": "{}", "secretKey": "{}" }}"#, KEYS[0], KEYS[1]);
    let may = r#"["Admin", "Read", "Write", "List"]"#;
    let identities = format!(r#"{{ "identities": [{{ "name": "a", "credentials": [{keys}], "actions": {may} }}] }}"#);
    fs::write(folder.path().join("keys.json"), identities).expect("a file of keys");
    let store = Store::start("weed", server, "Start Seaweed S3 API Server", folder);
    Store { endpoint: format!("http://127.0.0.1:{}", ports[6]), ..store }.holds();
    // It leaves its sockets behind.
    for (part, ports) in parts() {
        let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-{}.sock", ports[0]));
        let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{}.sock", ports[1]));
    }
}

impl Store {
    /// Starts a server; the line that holds `ready` has its address.
    fn start(name: &str, mut server: Command, ready: &str, folder: TempDir) -> Self {
        let process = Process::spawn(name, &mut server);
        let line = process.says(ready, PATIENCE);
        let port: String = line.split("127.0.0.1:").nth(1).unwrap_or_default().to_owned();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let endpoint = format!("http://127.0.0.1:{port}");
        Self { process, endpoint, keys: KEYS, refuses: true, conditional: true, metadata: true, folder }
    }

    /// Bucket, wrong settings, then both workers at work.
    fn holds(&self) {
        let nats = Nats::start(&self.folder.path().join("nats"));
        let said = self.makes_a_bucket(&nats);
        assert!(said.contains("bucket shanshui: created"), "{said}");
        let again = self.run(&nats, &["streams", "apply"]);
        assert!(text(&again).contains("everything is there"), "{}", text(&again));
        self.names_what_is_wrong(&nats);
        let ear = Process::spawn("ear", &mut self.pointed(&nats, &["transcribe"]));
        let hand = Process::spawn("hand", &mut self.pointed(&nats, &["paint"]));
        let mut client = told(foreign("python"), &nats.url(), &self.endpoint, self.keys);
        client.args(["tests/clients/contract", "read_back"]);
        if !self.metadata {
            client.env("DROPS_METADATA", "1");
        }
        passes("read_back", &mut client, 7);
        self.takes_what_is_dropped(&nats);
        for worker in [&ear, &hand] {
            let found = worker.log().contains("ignores If-None-Match");
            assert_eq!(found, !self.conditional, "{}", worker.log());
        }
        assert!(self.process.is_running(), "{}", self.process.log());
    }

    /// A recording that is dropped into the bucket comes back as words and a receipt.
    #[tokio::main(flavor = "current_thread")]
    async fn takes_what_is_dropped(&self, nats: &Nats) {
        let client = client_of(&self.endpoint, self.keys);
        let put = client.put_object().bucket(BUCKET).key("inbox/高山 +1.wav");
        put.body(recording("cat.wav").into()).send().await.expect("the store takes the recording");
        let flags = ["intake", "--poll", "1", "--until", "transcript"];
        let intake = Process::spawn("intake", &mut self.pointed(nats, &flags));
        let read = async |key: &str| {
            let object = client.get_object().bucket(BUCKET).key(key).send().await.ok()?;
            Some(object.body.collect().await.ok()?.into_bytes())
        };
        until("a receipt beside the recording", async || read("inbox/高山 +1.json").await).await;
        let words = read("inbox/高山 +1.txt").await.expect("words come before the receipt");
        let words = String::from_utf8_lossy(&words).to_lowercase();
        assert!(words.contains("cat") && words.contains("star"), "{words}; {}", intake.log());
    }

    /// A store that has just started may not have room for a bucket yet.
    fn makes_a_bucket(&self, nats: &Nats) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.run(nats, &["streams", "apply"]);
            if output.status.success() || Instant::now() > deadline {
                return text(&output);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn names_what_is_wrong(&self, nats: &Nats) {
        for command in [&["streams", "check"][..], &["paint"]] {
            let mut command = self.pointed(nats, command);
            fails(command.env("SHANSHUI_S3_BUCKET", "no-such-bucket"), "no-such-bucket does not exist");
            if self.refuses {
                let command = command.env("SHANSHUI_S3_BUCKET", BUCKET).env("SHANSHUI_S3_SECRET_KEY", "wrong");
                fails(command, "refuses these credentials");
            }
        }
    }

    fn run(&self, nats: &Nats, arguments: &[&str]) -> Output {
        self.pointed(nats, arguments).output().expect("shanshui starts")
    }

    /// Our binary, pointed at this queue and this store.
    fn pointed(&self, nats: &Nats, arguments: &[&str]) -> Command {
        let mut command = command(shanshui(), self.folder.path(), arguments);
        command.env("SHANSHUI_NATS_URL", nats.url()).env("SHANSHUI_S3_ENDPOINT", &self.endpoint);
        command.env("SHANSHUI_S3_BUCKET", BUCKET).env("SHANSHUI_S3_ACCESS_KEY", self.keys[0]);
        command.env("SHANSHUI_S3_SECRET_KEY", self.keys[1]);
        command.env("SHANSHUI_WHISPER", whisper("tiny.en")).env("SHANSHUI_PICTURE_MODEL", picture_model());
        command
    }
}

fn command(program: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = clean(program);
    command.args(arguments).current_dir(folder);
    command
}

/// Our binary ends with an error and says why.
fn fails(command: &mut Command, why: &str) {
    let output = command.output().expect("shanshui starts");
    let said = text(&output);
    assert!(!output.status.success() && said.contains(why), "{command:?}: {said}");
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Ports that nobody has: for a server that cannot say which one it took.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let taken = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    taken.map(|listener| listener.local_addr().expect("a bound port").port())
}
