//! gRPC, HTTP/2 and Wyoming: the same jobs under the same limits, for clients that nobody here wrote.

use shanshui_tests::{Door, PATIENCE, Process, Stack, root, scratch, sha256};

use tempfile::TempDir;

use super::{door, gateway};
use crate::clients::{client, foreign, passes, stack};

/// A gateway with the keys of anna and ben, who have lanes, and small limits.
pub(super) fn keyed() -> (Door, Process, TempDir) {
    let folder = scratch();
    let file = folder.path().join("keys");
    let line = |name: &str| format!("{name}:{}:{name}\n", sha256(&format!("key of {name}").into()));
    std::fs::write(&file, line("anna") + &line("ben")).expect("a file");
    let keys = ["--api-keys", file.to_str().expect("a path"), "--max-body-mib", "1", "--jobs-per-minute", "100"];
    let (door, process) = gateway(stack(), &keys);
    (door, process, folder)
}

#[test]
fn s29_grpc_takes_follows_and_refuses_jobs_as_http_does() {
    let (door, process, _folder) = keyed();
    let mut python = client(foreign("python"), stack());
    python.arg("tests/clients/grpc_jobs.py").env("DOOR", door.address());
    python.env("PROTO", root().join("workers/gateway/proto/shanshui.proto"));
    passes("grpc", &mut python, 50);
    assert!(!process.log().contains("key of"), "{}", process.log());
}

#[test]
fn whoever_watches_the_health_hears_of_a_queue_that_is_away_and_of_the_end() {
    let mut stack = Stack::start();
    let (door, process) = gateway(&stack, &[]);
    let mut python = client(foreign("python"), &stack);
    let watch = Process::spawn("watch", python.arg("tests/clients/grpc_watch.py").env("DOOR", door.address()));
    watch.says("1 SERVING", PATIENCE);
    stack.stop_nats();
    watch.says("2 NOT_SERVING", PATIENCE);
    stack.start_nats();
    watch.says("3 SERVING", PATIENCE);
    process.signal("TERM");
    watch.says("4 NOT_SERVING", PATIENCE);
    watch.says("over", PATIENCE);
    assert!(process.ends(PATIENCE).success(), "{}", process.log());
}

#[test]
fn s20_http2_has_the_limits_of_every_connection() {
    passes("http2", client(foreign("python"), stack()).arg("tests/clients/http2.py").env("DOOR", door().address()), 9);
}

#[test]
fn wyoming_hears_what_is_said_and_is_open_to_this_machine_alone() {
    let (_door, process) = gateway(stack(), &["--wyoming-listen", "127.0.0.1:0"]);
    let line = process.says("Wyoming is served", PATIENCE);
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let mut python = client(foreign("python"), stack());
    passes("wyoming", python.arg("tests/clients/wyoming_speech.py").env("WYOMING", address), 16);

    let refused = stack().run(&["gateway", "--gateway", "127.0.0.1:0", "--wyoming-listen", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("allowed: a loopback address"), "{said}");
}
