//! Who is served, and how much of it.

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use shanshui_tests::door::read;
use shanshui_tests::{PATIENCE, Process, sha256};

use super::{door, gateway, painted, small, text};
use crate::clients::stack;

#[test]
fn s29_a_key_opens_the_door_to_its_own_lane_and_no_other() {
    let file = stack().folder().join("keys");
    let line = |name: &str, key: &str, lane: &str| format!("{name}:{}{lane}\n", sha256(&key.to_owned().into()));
    let lines = line("anna", "key of anna", ":anna") + &line("ben", "key of ben", ":ben") + &line("all", "master", "");
    std::fs::write(&file, lines).expect("a file");
    let (door, process) = gateway(stack(), &["--api-keys", file.to_str().expect("a path"), "--jobs-per-minute", "2"]);
    for wrong in [door.clone(), door.with("Authorization", "Bearer key of nobody"), door.with("Authorization", "x")] {
        let refused = wrong.get("/v1/jobs").is(401);
        assert_eq!(
            (refused.header("www-authenticate"), &refused.json()["error"]["type"]),
            ("Bearer", &"authentication_error".into())
        );
    }
    door.get("/").is(200);
    let basic = BASE64_STANDARD.encode("anna:key of anna");
    door.with("Authorization", &format!("Basic {basic}")).get("/v1/capabilities").is(200);

    let [anna, ben, all] =
        ["key of anna", "key of ben", "master"].map(|key| door.with("Authorization", &format!("Bearer {key}")));
    let job = painted(&anna, &[]).is(200).json();
    let place = format!("/v1/jobs/{}", text(&job["id"]));
    assert_eq!(job["lane"], "anna");
    for path in ["", "/events", "/pictures/0"] {
        ben.get(&format!("{place}{path}")).is(404);
    }
    ben.send("DELETE", &place, &[], b"").is(404);
    all.get(&place).is(200);
    let listed =
        |door: &shanshui_tests::Door| door.get("/v1/jobs?limit=100").is(200).text().contains(&text(&job["id"]));
    assert_eq!((listed(&anna), listed(&ben), listed(&all)), (true, false, true));
    anna.post("/v1/jobs?lane=ben", &[], &json!({ "text": "a boat" })).is(400);

    anna.post("/v1/jobs", &[], &json!({ "text": "a boat", "picture": small() })).is(202);
    let late = anna.post("/v1/jobs", &[], &json!({ "text": "a boat", "picture": small() })).is(429);
    assert!(late.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=30).contains(&seconds)), "{late:?}");
    all.post("/v1/jobs?lane=gold", &[], &json!({ "text": "a boat", "picture": small() })).is(202);
    assert!(!process.log().contains("key of"), "{}", process.log());
}

#[test]
fn without_keys_only_this_machine_is_served() {
    let mut open = stack().command(&["gateway", "--gateway", "0.0.0.0:0"]);
    let open = Process::spawn("open gateway", &mut open);
    assert_eq!(open.ends(PATIENCE).code(), Some(2), "{}", open.log());
    assert!(open.log().contains("gateway: 0.0.0.0:0 is not allowed"), "{}", open.log());
    let door = door();
    let evil = door.send("GET", "/v1/jobs", &[("Host", "evil.example")], b"").is(403);
    assert_eq!(evil.json()["error"]["code"], "other-site");
    let job = json!({ "text": "a boat" });
    door.post("/v1/jobs", &[("Origin", "https://evil.example")], &job).is(403);
    let own = format!("http://{}", door.address());
    door.post("/v1/jobs", &[("Origin", &own)], &json!({ "text": "a boat", "picture": small() })).is(202);
    let answer = door.send("OPTIONS", "/v1/jobs", &[("Origin", "https://evil.example")], b"");
    assert_eq!((answer.header("access-control-allow-origin"), answer.status), ("", 403));
}

#[test]
fn s20_a_request_that_grows_beyond_the_limit_is_cut_off() {
    let (door, _process) = gateway(stack(), &["--max-body-mib", "1"]);
    let mut link = door.open("POST", "/v1/jobs", &[("Content-Type", "audio/wav"), ("Transfer-Encoding", "chunked")]);
    let piece = [b"10000\r\n".as_slice(), &[0; 0x10000], b"\r\n"].concat();
    for _ in 0..20 {
        // The gateway stops reading at some point.
        if link.write_all(&piece).is_err() {
            break;
        }
    }
    let answer = read(link).is(413);
    assert_eq!(answer.json()["error"]["code"], "too-large");
}

#[test]
fn an_address_that_is_taken_is_an_error_at_once_and_a_signal_ends_open_streams() {
    let (door, process) = gateway(stack(), &[]);
    let mut second = stack().command(&["gateway", "--gateway", door.address()]);
    let second = Process::spawn("second gateway", &mut second);
    assert_eq!(second.ends(PATIENCE).code(), Some(2), "{}", second.log());
    let sent =
        door.post("/v1/jobs", &[], &json!({ "text": "a river", "picture": { "steps": 100, "count": 4 } })).is(202);
    let mut stream = door.follow(&format!("{}/events", sent.header("location")), &[]);
    assert!(stream.next().is_some());
    let began = Instant::now();
    process.signal("TERM");
    let end = stream.last();
    assert!(end.is_none_or(|event| event.kind != "done"));
    assert!(process.ends(PATIENCE).success() && began.elapsed() < Duration::from_secs(10), "{}", process.log());
    super::door().send("DELETE", sent.header("location"), &[], b"").is(202);
}
