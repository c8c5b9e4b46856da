//! Who is served, and how much of it.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use shanshui_tests::door::read;
use shanshui_tests::{PATIENCE, Process, Stack, scratch, sha256};

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
fn s30_a_link_shows_one_picture_without_a_key_and_nothing_else() {
    let folder = scratch();
    let file = folder.path().join("keys");
    let line = |name: &str, key: &str| format!("{name}:{}:{name}\n", sha256(&key.to_owned().into()));
    std::fs::write(&file, line("anna", "a key") + &line("ben", "other")).expect("a file");
    let keys = ["--api-keys", file.to_str().expect("a path")];
    let secret = ["--gateway-secret", "a secret of these tests alone"];
    let (door, _process) = gateway(stack(), &[keys, secret].concat());
    let (other, _without) = gateway(stack(), &keys);
    let wanted = json!({ "prompt": "a boat", "size": "64x64", "steps": 2, "n": 2, "response_format": "url" });
    let anna = door.with("Authorization", "Bearer a key");
    let made = anna.post("/v1/images/generations", &[], &wanted).is(200).json();
    let link = text(&made["data"][1]["url"]).replace(&format!("http://{}", door.address()), "");
    let picture = door.get(&link).is(200);
    assert!(picture.body.starts_with(b"\x89PNG"));
    assert_eq!(picture.header("cross-origin-resource-policy"), "cross-origin");
    // Whatever key a browser has in store for us.
    door.with("Authorization", "Bearer other").get(&link).is(200);
    let (bare, query) = link.split_once('?').expect("a signature");
    let place = bare.split("/pictures").next().expect("a job");
    for wrong in [
        bare.to_owned(),
        format!("{}?{query}", bare.replace("/1", "/0")),
        format!("{place}?{query}"),
        format!("{place}/events?{query}"),
        format!("{place}/transcript.txt?{query}"),
        format!("/v1/jobs?{query}"),
        link.replace("expires=1", "expires=2"),
        link.replace("&signature=", "&signature=00"),
    ] {
        assert_eq!(door.get(&wrong).is(401).json()["error"]["code"], "invalid-api-key", "{wrong}");
    }
    door.send("DELETE", &link, &[], b"").is(405);
    // Whoever has no secret signs none and takes none.
    other.get(&link).is(401);
    let made = other.with("Authorization", "Bearer a key").post("/v1/images/generations", &[], &wanted).is(200).json();
    assert!(!text(&made["data"][0]["url"]).contains('?'));
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

#[test]
fn s20_a_body_that_does_not_come_keeps_nobody_out() {
    let stack = Stack::start();
    let (door, _process) = gateway(&stack, &[]);
    let never = [("Transfer-Encoding", "chunked"), ("Content-Length", "67108864")];
    let open = |header| door.open("POST", "/v1/jobs", &[("Content-Type", "audio/wav"), header]);
    let mut slow: Vec<_> = never.into_iter().flat_map(|header| std::iter::repeat_n(header, 12)).map(open).collect();
    slow.iter_mut().for_each(|link| link.write_all(b"1").expect("a connection"));
    door.send("POST", "/sdapi/v1/interrupt", &[], b"").is(200);
    door.post("/v1/jobs", &[], &json!({ "text": "a boat" })).is(202);
}

/// The store takes nothing: recordings wait in the gateway, and no more of them than it may hold.
#[test]
fn s20_recordings_that_a_store_does_not_take_are_bounded() {
    let stack = Stack::behind_proxies(&[]);
    let (door, process) = gateway(&stack, &[]);
    stack.s3_proxy().freeze(true);
    let sound = std::sync::Arc::new(vec![b'x'; 60 << 20]);
    let recording = ("Content-Type", "audio/wav");
    let posts: Vec<_> = (0..14)
        .map(|_| {
            thread::sleep(Duration::from_millis(150));
            let (door, sound) = (door.clone(), sound.clone());
            thread::spawn(move || door.send("POST", "/v1/jobs", &[recording], &sound).status)
        })
        .collect();
    let (mut most, mut refused, began) = (0, false, Instant::now());
    while began.elapsed() < Duration::from_secs(5) {
        most = most.max(super::events::memory_mib(process.pid()));
        // A promise for which there is room waits for its bytes.
        let promise = door.open("POST", "/v1/jobs", &[recording, ("Content-Length", "62914560")]);
        promise.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
        refused |= read(promise).status == 503;
        thread::sleep(Duration::from_millis(100));
    }
    process.signal("KILL");
    posts.into_iter().for_each(|post| drop(post.join()));
    // 512 MiB of requests, and what the program needs for itself.
    assert!(refused && most < 512 + 160, "refused: {refused}, {most} MiB");
}

#[test]
fn what_is_wrong_with_a_request_itself_is_said_in_the_form_of_all_refusals() {
    let door = door();
    let wrong = [
        (door.send("GET", "/v1/jobs?limit=1&limit=2", &[], b"").is(400), "bad-input"),
        (door.send("GET", "/v1/jobs/%FF", &[], b"").is(400), "bad-input"),
        (door.send("GET", "/v1/jobs", &[("Host", "localhost"), ("Host", "localhost")], b"").is(400), "bad-input"),
        (door.send("POST", "/v1/jobs", &[("Content-Encoding", "gzip")], b"x").is(415), "unsupported-media-type"),
    ];
    for (answer, code) in wrong {
        assert_eq!((&answer.json()["error"]["code"], answer.header("cache-control")), (&code.into(), "no-store"));
    }
}
