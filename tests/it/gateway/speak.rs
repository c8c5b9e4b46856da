//! The WebSocket to speak to.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use shanshui_tests::{Receiver, scratch, sha256};

use super::socket::{hear, say};
use super::webhooks::hooked;
use super::{door, gateway, socket};
use crate::clients::{client, passes, stack};

const PATH: &str = "/v1/speak";

#[test]
fn who_speaks_into_a_socket_hears_words_and_sees_pictures() {
    let folder = scratch();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("page:{}\n", sha256(&"key of a page".to_owned().into()))).expect("a file");
    let (door, _process) = gateway(stack(), &["--api-keys", file.to_str().expect("a path"), "--max-body-mib", "1"]);
    let mut socket = client("node", stack());
    // Node 20 has the sockets of browsers behind a flag.
    socket.args(["--experimental-websocket", "tests/clients/speak.mjs"]);
    socket.env("DOOR", format!("ws://{}/v1/speak", door.address()));
    socket.env("KEY", BASE64_URL_SAFE_NO_PAD.encode("key of a page"));
    passes("speak", &mut socket, 17);
}

#[test]
fn s20_a_socket_holds_no_more_than_a_request() {
    let (door, _process) = gateway(stack(), &[]);
    let (mut line, status) = socket::open(&door, PATH, &[]);
    assert_eq!(status, "101");
    let values = format!(r#"{{"type":"start","job":{{"x":[{}0]}}}}"#, "0,".repeat(100_000));
    say(&mut line, 1, values.as_bytes());
    let refused = hear(&mut line);
    assert_eq!(refused["error"]["param"], "message", "{refused}");
    let open: Vec<_> = (1..256).map(|_| socket::open(&door, PATH, &[])).collect();
    assert!(open.iter().all(|(_, status)| status == "101"));
    assert_eq!(socket::open(&door, PATH, &[]).1, "429");
    drop(open);
}

#[test]
fn s20_messages_without_end_do_not_keep_the_end_of_a_job_back() {
    let (mut line, _) = socket::open(&door(), PATH, &[]);
    say(&mut line, 2, b"no recording at all");
    say(&mut line, 1, br#"{"type":"end"}"#);
    let mut flood = line.try_clone().expect("a second handle");
    let flooding = std::thread::spawn(move || {
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(200);
        while flood.write_all(&pings).is_ok() {}
    });
    let began = Instant::now();
    while hear(&mut line)["type"] != "end" {
        assert!(began.elapsed() < Duration::from_secs(20), "no end comes");
    }
    line.shutdown(Shutdown::Both).expect("an open line");
    flooding.join().expect("a thread that ends");
}

#[tokio::test]
async fn a_job_of_a_socket_may_have_a_webhook() {
    let (door, _process) = hooked(&[]);
    let receiver = Receiver::start(&["200 OK"]);
    let (mut line, _) = socket::open(&door, PATH, &[]);
    let start = |url: &str| json!({ "type": "start", "job": { "until": "transcript", "webhook": url } }).to_string();
    for url in ["https://10.0.0.1/", &receiver.url("127.0.0.1")] {
        say(&mut line, 1, start(url).as_bytes());
        say(&mut line, 2, b"no recording at all");
        say(&mut line, 1, br#"{"type":"end"}"#);
        let told = hear(&mut line);
        let expected = if url.contains("10.0") { "error" } else { "accepted" };
        assert_eq!(told["type"], expected, "{told}");
    }
    let got = receiver.gets(1).await.remove(0);
    let told: Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(told["type"], "job.failed", "{told}");
    assert!(told["data"]["links"]["self"].as_str().is_some_and(|own| own.contains(door.address())), "{told}");
}

#[test]
fn s29_a_page_of_another_site_opens_no_socket() {
    let door = door();
    let own = format!("http://{}", door.address());
    let upgrade = |more: &[(&str, &str)]| socket::open(&door, PATH, more).1;
    for foreign in ["http://evil.example", "null", "https://evil.example:443", "http://127.0.0.1", "file://"] {
        assert_eq!(upgrade(&[("Origin", foreign)]), "403", "{foreign}");
    }
    assert_eq!(upgrade(&[("Host", "evil.example"), ("Origin", "http://evil.example")]), "403");
    assert_eq!((upgrade(&[("Origin", &own)]).as_str(), upgrade(&[]).as_str()), ("101", "101"));
    assert!([400, 426].contains(&door.get("/v1/speak").status));
}
