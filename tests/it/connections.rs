//! Addresses and logins of NATS as people have them. Each leads to a picture.

use std::process::{Command, Output};
use std::time::Instant;

use shanshui_tests::{
    ACCESS_KEY, BUCKET, Nats, Objects, PATIENCE, Process, SECRET_KEY, clean, picture_model, scratch, shanshui,
};
use tempfile::TempDir;

/// A painted job, the smallest that there is.
const DRAW: [&str; 11] =
    ["draw", "a boat", "--width", "64", "--height", "64", "--steps", "2", "--count", "1", "--json"];

/// A store and a folder, and servers that each test starts as it likes.
struct Site {
    objects: Objects,
    folder: TempDir,
}

/// What our program is told of NATS.
type Told<'a> = &'a [(&'a str, &'a str)];

impl Site {
    fn new() -> Self {
        let folder = scratch();
        Self { objects: Objects::start(&folder.path().join("s3")), folder }
    }

    /// A server with JetStream and these lines in its configuration.
    fn nats(&self, name: &str, lines: &str) -> Nats {
        let store = self.folder.path().join(name);
        let jetstream = format!("jetstream {{ store_dir: \"{}\", domain: {name} }}", store.display());
        Nats::with_config(&store, &format!("listen: \"127.0.0.1:-1\"\n{jetstream}\n{lines}\n"))
    }

    fn command(&self, arguments: &[&str], told: Told<'_>) -> Command {
        let mut command = clean(shanshui());
        command.args(arguments).current_dir(self.folder.path()).envs(told.iter().copied());
        command
            .env("SHANSHUI_S3_ENDPOINT", self.objects.endpoint())
            .env("SHANSHUI_S3_BUCKET", BUCKET)
            .env("SHANSHUI_S3_ACCESS_KEY", ACCESS_KEY)
            .env("SHANSHUI_S3_SECRET_KEY", SECRET_KEY)
            .env("SHANSHUI_PICTURE_MODEL", picture_model());
        command
    }

    fn run(&self, arguments: &[&str], told: Told<'_>) -> Output {
        self.command(arguments, told).output().expect("shanshui starts")
    }

    fn does(&self, arguments: &[&str], told: Told<'_>) -> String {
        let output = self.run(arguments, told);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} with {told:?}: {} {said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A leaf node that has just connected does not know yet what the hub listens to.
    fn hears_jetstream(&self, told: Told<'_>) {
        let deadline = Instant::now() + PATIENCE;
        while text(&self.run(&["streams", "check"], told).stderr).contains("resource does not exist") {
            assert!(Instant::now() < deadline, "no JetStream with {told:?}");
        }
    }

    /// Streams are made, a worker works, a client submits and follows, all told the same.
    fn paints(&self, told: Told<'_>) {
        self.does(&["streams", "apply"], told);
        let worker = Process::spawn("paint", &mut self.command(&["paint"], told));
        worker.says("taking jobs", PATIENCE);
        let said: serde_json::Value = serde_json::from_str(&self.does(&DRAW, told)).expect("one JSON object");
        assert_eq!(said["state"], "done", "{said}");
        assert_eq!(self.does(&["streams", "check"], told).trim(), "everything is there");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The address without its scheme.
fn host(nats: &Nats) -> String {
    nats.url().trim_start_matches("nats://").to_owned()
}

/// What a server says about another of its ports.
fn port(nats: &Nats, line: &str) -> String {
    let said = nats.process().says(line, PATIENCE);
    said.rsplit(':').next().expect("a port in the line").trim_end_matches(['\n', '"']).to_owned()
}

#[test]
fn a_token_comes_by_flag_or_in_the_address() {
    let site = Site::new();
    let nats = site.nats("one", r#"authorization { token: "s3cr#t/1" }"#);
    site.paints(&[("SHANSHUI_NATS_URL", &nats.url()), ("SHANSHUI_NATS_TOKEN", "s3cr#t/1")]);
    let told = format!("nats://s3cr%23t%2F1@{}", host(&nats));
    site.does(&["streams", "check"], &[("SHANSHUI_NATS_URL", &told)]);
    let wrong = site.run(&["streams", "check"], &[("SHANSHUI_NATS_URL", &nats.url()), ("SHANSHUI_NATS_TOKEN", "no")]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(6) && said.contains("refuses: authorization violation"), "{said}");
}

#[test]
fn a_password_in_an_address_is_percent_encoded_and_several_hosts_share_it() {
    let site = Site::new();
    let nats = site.nats("one", r#"authorization { user: "a b", password: "p@ss/w:1" }"#);
    let told = format!("nats://a%20b:p%40ss%2Fw:1@127.0.0.1:1,nats://{}", host(&nats));
    site.paints(&[("SHANSHUI_NATS_URL", &told)]);
    site.does(&["streams", "check"], &[("NATS_URL", &nats.url()), ("NATS_USER", "a b"), ("NATS_PASSWORD", "p@ss/w:1")]);
}

#[test]
fn a_websocket_carries_the_whole_pipeline() {
    let site = Site::new();
    let nats = site.nats("one", r#"websocket { listen: "127.0.0.1:-1", no_tls: true }"#);
    let told = format!("ws://127.0.0.1:{}", port(&nats, "Listening for websocket clients on"));
    site.paints(&[("SHANSHUI_NATS_URL", &told)]);
}

#[test]
fn a_leaf_node_leads_to_the_hubs_queues_by_their_domain() {
    let site = Site::new();
    let hub = site.nats("hub", r#"leafnodes { listen: "127.0.0.1:-1" }"#);
    let hub_port = port(&hub, "Listening for leafnode connections on");
    let remote = format!("leafnodes {{ remotes: [ {{ url: \"nats-leaf://127.0.0.1:{hub_port}\" }} ] }}");
    let plain = format!("listen: \"127.0.0.1:-1\"\n{remote}\n");
    let without = Nats::with_config(&site.folder.path().join("without"), &plain);
    let with = site.nats("own", &remote);
    for leaf in [&without, &with] {
        leaf.process().says("Leafnode connection created", PATIENCE);
    }
    for leaf in [&without, &with] {
        let told = [("SHANSHUI_NATS_URL", &*leaf.url()), ("SHANSHUI_NATS_DOMAIN", "hub")];
        site.hears_jetstream(&told);
        site.paints(&told);
    }
    // The leaf's own JetStream has none of it.
    let own = site.run(&["streams", "check"], &[("SHANSHUI_NATS_URL", &with.url())]);
    assert_eq!(own.status.code(), Some(1), "{}", String::from_utf8_lossy(&own.stderr));
    let none = site.run(&["streams", "check"], &[("SHANSHUI_NATS_URL", &hub.url()), ("SHANSHUI_NATS_DOMAIN", "none")]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("AUDIO"), "{none:?}");
}
