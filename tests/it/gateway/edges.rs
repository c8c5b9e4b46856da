//! What reports of other servers say of their edges, tried here.

use std::io::{Read, Write};

use serde_json::json;
use shanshui_tests::door::{Answer, read};
use shanshui_tests::root;

use super::door;

/// Sends bytes, and reads what comes until the gateway hangs up.
fn raw(bytes: &[u8]) -> String {
    let mut line = std::net::TcpStream::connect(door().address()).expect("a gateway");
    line.write_all(bytes).expect("a connection");
    let mut told = Vec::new();
    let _ = line.read_to_end(&mut told);
    String::from_utf8_lossy(&told).into_owned()
}

#[test]
fn s34_a_body_has_one_end_whoever_reads_it() {
    let host = format!("Host: {}\r\n", door().address());
    let hidden = format!("GET /v1/capabilities HTTP/1.1\r\n{host}\r\n");
    let post = |headers: &str, body: &str| {
        let last = format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        let json = "Content-Type: application/json\r\n";
        raw(format!("POST /v1/jobs HTTP/1.1\r\n{host}{json}{headers}\r\n\r\n{body}{last}").as_bytes())
    };
    for coding in
        ["xchunked", "chunked, identity", "identity", "identity\r\nTransfer-Encoding: chunked", "gzip, chunked"]
    {
        let told = post(&format!("Transfer-Encoding: {coding}"), "2\r\n{}\r\n0\r\n\r\n");
        let first = told.split("HTTP/1.1 ").nth(1).unwrap_or_default();
        // The coding is refused, and not what such a body says.
        let why = first.contains("Transfer-Encoding") || first.contains("content-length: 0");
        assert!(first.starts_with("400 ") && why, "{coding}: {told}");
    }
    for length in ["+2", "2, 2", "2\r\nContent-Length: 3", "0x2", "-1", "99999999999999999999", ""] {
        let told = post(&format!("Content-Length: {length}"), "{}");
        assert!(told.starts_with("HTTP/1.1 400 ") && told.matches("HTTP/1.1 ").count() == 1, "{length}: {told}");
    }
    // A chunked body ends where it says, whatever the length beside it is.
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked", 5 + hidden.len());
    assert!(post(&both, "0\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn s34_a_head_is_small() {
    let told =
        raw(format!("GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n", door().address(), "a".repeat(300_000)).as_bytes());
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 431 "), "{told}");
}

#[test]
fn s34_the_host_of_a_whole_address_is_the_one_that_counts() {
    let door = door();
    assert_eq!(read(door.open("GET", "http://evil.example/v1/jobs", &[("Connection", "close")])).status, 403);
    let own = format!("http://{}/v1/jobs", door.address());
    assert_eq!(read(door.open("GET", &own, &[("Connection", "close")])).status, 200);
}

#[test]
fn s34_what_is_no_call_of_grpc_gets_no_empty_answer() {
    let door = door();
    let list = |media: &str| door.send("POST", "/shanshui.v1.Jobs/List", &[("Content-Type", media)], &[0; 5]);
    for media in ["application/grpc", "application/grpc-web+proto", "application/json"] {
        assert_eq!(list(media).is(505).json()["error"]["code"], "no-grpc");
    }
}

#[test]
fn s34_json_may_begin_with_a_mark_and_has_nulls_for_what_is_absent() {
    let (door, json) = (door(), [("Content-Type", "application/json")]);
    for (path, value) in [
        ("/v1/jobs", json!({ "text": "a boat", "picture": { "width": 64, "height": 64, "steps": 1, "count": 1 } })),
        (
            "/v1/images/generations",
            json!({ "prompt": "a boat", "size": "64x64", "steps": 1, "n": null, "user": null,
            "quality": null, "stream": null, "response_format": null, "seed": null, "style": null }),
        ),
    ] {
        let marked = format!("\u{feff}{value}");
        let told = door.send("POST", path, &json, marked.as_bytes());
        assert!([200, 202].contains(&told.status), "{path}: {}", told.text());
    }
}

#[test]
fn s34_what_cannot_be_meant_is_refused_and_not_passed_over() {
    let door = door();
    let sound = std::fs::read(root().join("tests/data/speech/cat.wav")).expect("a recording");
    let file = ("file", Some("cat.wav"), sound.as_slice());
    let words = "/v1/audio/transcriptions";
    let about = |answer: Answer| answer.is(400).json()["error"]["param"].as_str().map(str::to_owned);
    assert_eq!(about(door.form(words, &[], &[file, file])).as_deref(), Some("file"));
    assert_eq!(about(door.form(words, &[], &[file, ("stream", None, b"perhaps")])).as_deref(), Some("stream"));
    assert_eq!(about(door.post(words, &[], &json!({ "model": "whisper-1" }))).as_deref(), Some("Content-Type"));
    let painted = json!({ "prompt": "a boat", "size": "64x64", "steps": 1, "stream": "true" });
    assert_eq!(about(door.post("/v1/images/generations", &[], &painted)).as_deref(), Some("stream"));
    assert_eq!(about(door.form("/v1/jobs", &[], &[("audio", Some("a"), b"x"), file])).as_deref(), Some("file"));
    // As Python's requests sends what is true there.
    let told = door.form(words, &[], &[file, ("stream", None, b"True")]).is(200);
    assert_eq!(told.header("content-type"), "text/event-stream");
}
