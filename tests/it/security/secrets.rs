//! S18: nothing that is secret is ever said, however much is logged and whatever goes wrong.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use shanshui_tests::{PATIENCE, Process, SECRET_KEY, ends_well, until};

use super::guarded::{Guarded, said};
use super::voice::Voice;

/// In every secret of these tests.
const CANARY: &str = "canary";

/// What a command says when something is wrong with its secrets, and that it does say something.
fn tells_nothing(what: &str, command: &mut Command) {
    command.env("SHANSHUI_LOG", "trace").env("SHANSHUI_CONNECT_SECONDS", "2").env("RUST_BACKTRACE", "full");
    let process = Process::spawn(what, command);
    // A worker waits for a server that does not answer: long enough to have failed some times.
    std::thread::sleep(Duration::from_secs(3));
    process.signal("TERM");
    process.ends(PATIENCE);
    let log = process.log();
    assert!(!log.is_empty() && !log.contains(CANARY), "{what}:\n{log}");
}

#[test]
fn s18_no_error_tells_a_secret() {
    let guarded = Guarded::start();
    let file = |name: &str, text: &str| {
        let path = guarded.folder().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let nobody = free_address();
    for arguments in [&["paint"][..], &["streams", "check"], &["draw", "a cat"]] {
        let what = |which: &str| format!("{} with {which}", arguments.join(" "));
        let command = |role: &str| guarded.command(role, arguments);
        tells_nothing(&what("a wrong password"), command("admin").env("SHANSHUI_NATS_PASSWORD", "canary-wrong"));
        let host = guarded.url.trim_start_matches("nats://");
        let secret_url = format!("nats://admin:canary-in-the-url@{host}");
        tells_nothing(&what("a wrong url"), guarded.stranger(arguments).env("SHANSHUI_NATS_URL", secret_url));
        let nobody = format!("nats://admin:canary-in-the-url@{nobody}");
        tells_nothing(&what("nobody there"), guarded.stranger(arguments).env("SHANSHUI_NATS_URL", nobody));
        let broken = "nats://admin:canary-in-the-url@[::1";
        tells_nothing(&what("no url"), guarded.stranger(arguments).env("SHANSHUI_NATS_URL", broken));
        let creds = file("bad.creds", "-----BEGIN NATS USER JWT-----\ncanary.jwt\n------END NATS USER JWT------\n");
        tells_nothing(&what("bad creds"), guarded.stranger(arguments).env("SHANSHUI_NATS_CREDS", creds));
        let nkey = file("bad.nk", "SUcanaryAAAAAAAAAAAAAAAAAAAAAAAAAA");
        tells_nothing(&what("a bad nkey"), guarded.stranger(arguments).env("SHANSHUI_NATS_NKEY", nkey));
        let mut store = command("admin");
        store.env("SHANSHUI_S3_SECRET_KEY", "canary-key").env("SHANSHUI_S3_SESSION_TOKEN", "canary-session");
        tells_nothing(&what("a wrong key of the store"), &mut store);
    }
}

#[test]
fn s18_no_settings_file_is_quoted_where_its_secrets_are() {
    let guarded = Guarded::start();
    let table = [
        ("a list", "nats-password = [\"canary-in-a-list\"]"),
        ("a table", "[nats-password]\nvalue = \"canary-in-a-table\""),
        ("no end", "s3-secret-key = \"canary-without-an-end\nnats-user = \"a\""),
        ("no sense", "nats-password = canary-bare"),
        ("twice", "nats-password = \"canary-one\"\n[nats]\npassword = \"canary-two\""),
        ("a bad neighbour", "nats-password = \"canary-good\"\nsteps-of-nobody = 3"),
        ("a login in the url", "nats-url = [\"nats://a:canary-in-a-url@127.0.0.1:1\"]"),
    ];
    for (what, text) in table {
        let path = guarded.folder().join("bad.toml");
        fs::write(&path, text).expect("a file");
        let output = guarded.stranger(&["streams", "check", "--config"]).arg(&path).output().expect("shanshui starts");
        let said = said(&output);
        assert!(!output.status.success() && said.contains("bad.toml") && !said.contains(CANARY), "{what}: {said}");
    }
}

#[tokio::test]
async fn s18_a_worker_that_tells_all_tells_no_secret() {
    let guarded = Guarded::start();
    let address = free_address();
    let mut command = guarded.command("paint", &["paint", "--http", &address, "--attempts", "1"]);
    command.env("SHANSHUI_LOG", "trace");
    let worker = Process::spawn("paint", &mut command);
    worker.says("taking jobs", PATIENCE);
    guarded.does("tenant-a", &["draw", "a boat", "--steps", "2", "--count", "1"]);
    Voice::of(&guarded, "tenant-a").await.says("shanshui.text.default", "{\"id\":\"bad\",\"text\":7}").await;
    worker.says("job buried", PATIENCE);
    let pages = ["/metrics", "/readyz", "/livez"].map(|path| page(&address, path)).concat();
    let dead = until("a dead job", async || {
        let list = guarded.does("admin", &["dead", "show", "1"]);
        (!list.is_empty()).then_some(list)
    });
    let dead = dead.await;
    worker.signal("TERM");
    ends_well(&worker);
    for (what, text) in [("the log", worker.log()), ("the pages", pages), ("the dead job", dead)] {
        for secret in [CANARY, SECRET_KEY] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{what} tells {secret}: {line:?}");
        }
    }
}

/// An address where nobody listens; a worker may.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").to_string()
}

/// A page as it comes over the wire, with its head; waits for its server.
pub(crate) fn page(address: &str, path: &str) -> String {
    let connect = || TcpStream::connect(address);
    let mut link = connect();
    for _ in 0..600 {
        if link.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        link = connect();
    }
    let mut link = link.expect("somebody listens");
    write!(link, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("a connection");
    let mut text = String::new();
    link.read_to_string(&mut text).expect("a whole page");
    text
}
