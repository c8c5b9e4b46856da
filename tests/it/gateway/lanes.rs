//! Keys that are bound to a lane, and names of jobs, while no worker has seen any job yet.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use shanshui_tests::{Door, Process, Stack, sha256, until};

use super::{gateway, text};

/// A gateway with the keys of anna and ben, who have lanes, and of whoever sees all; no worker.
fn keyed() -> (Stack, [Door; 3], Process) {
    let stack = Stack::start();
    let file = stack.folder().join("keys");
    let line = |name: &str, lane: &str| format!("{name}:{}{lane}\n", sha256(&name.to_owned().into()));
    std::fs::write(&file, line("anna", ":anna") + &line("ben", ":ben") + &line("all", "")).expect("a file");
    let (door, process) = gateway(&stack, &["--api-keys", file.to_str().expect("a path")]);
    let doors = ["anna", "ben", "all"].map(|key| door.with("Authorization", &format!("Bearer {key}")));
    (stack, doors, process)
}

#[tokio::test]
async fn s29_a_job_that_waits_is_its_lanes_alone() {
    let (stack, [anna, ben, all], _process) = keyed();
    let sent = anna.post("/v1/jobs", &[], &json!({ "text": "a boat" })).is(202).json();
    // Nobody tells of a job that does not come through a gateway.
    let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
    nats.publish("shanshui.text.anna", "{\"id\":\"untold\",\"text\":\"a boat\"}".into()).await.expect("a connection");
    nats.flush().await.expect("a connection");
    let client = stack.client().await;
    until("both jobs", async || (client.lying("TEXT").await == 2).then_some(())).await;
    for id in [text(&sent["id"]), "untold".to_owned()] {
        let place = format!("/v1/jobs/{id}");
        for path in ["", "/events", "/pictures/0", "/transcript.txt"] {
            ben.get(&format!("{place}{path}")).is(404);
        }
        ben.send("DELETE", &place, &[], b"").is(404);
        for door in [&anna, &all] {
            assert_eq!(door.get(&place).is(200).json()["state"], "queued");
        }
    }
    assert_eq!(anna.get(&format!("/v1/jobs/{}", text(&sent["id"]))).json()["lane"], "anna");
    // A list has the jobs that wait, with their places, also those that nobody has told of.
    let listed = |door: &Door, query: &str| {
        let jobs = door.get(&format!("/v1/jobs{query}")).is(200).json()["jobs"].take();
        let each = |job: &serde_json::Value| (text(&job["id"]), text(&job["state"]), job["place"].as_u64());
        let mut all: Vec<_> = jobs.as_array().expect("a list").iter().map(each).collect();
        all.sort();
        all
    };
    let queued = |id: &str, place: u64| (id.to_owned(), "queued".to_owned(), Some(place));
    let mut both = vec![queued(&text(&sent["id"]), 0), queued("untold", 1)];
    both.sort();
    assert_eq!((listed(&anna, ""), listed(&all, ""), listed(&ben, "")), (both.clone(), both, vec![]));
    assert_eq!(listed(&anna, "?limit=1"), [queued(&text(&sent["id"]), 0)]);
    assert_eq!(client.lying("CANCELS").await, 0);

    let mut heard = anna.follow(&format!("/v1/jobs/{}/events", text(&sent["id"])), &[]);
    assert_eq!(heard.next().expect("an event").kind, "queued");
    let event = |kind: &str, data: serde_json::Value| {
        let event =
            json!({ "subject": sent["id"], "time": "2027-01-01T00:00:00Z", "source": "/shanshui/a", "data": data });
        nats.publish(format!("shanshui.events.{}.{kind}", text(&sent["id"])), event.to_string().into())
    };
    // Another sender uses the name, and its job is the one that a worker sees first.
    event("accepted", json!({ "kind": "accepted", "stage": "paint", "lane": "ben" })).await.expect("a connection");
    nats.flush().await.expect("a connection");
    assert_eq!(heard.next(), None);
}

#[test]
fn s29_a_key_with_a_lane_names_neither_objects_nor_jobs() {
    let (_stack, [anna, ben, all], _process) = keyed();
    let stored = json!({ "audio": { "key": "audio/of-ben" } });
    for (job, param) in [(&stored, "audio.key"), (&json!({ "text": "a", "id": "of-ben" }), "id")] {
        assert_eq!(anna.post("/v1/jobs", &[], job).is(400).json()["error"]["param"], param);
        all.post("/v1/jobs", &[], job).is(202);
    }
    let job = stored.to_string();
    let form = anna.form("/v1/jobs", &[], &[("job", None, job.as_bytes())]).is(400);
    assert_eq!(form.json()["error"]["param"], "audio.key");
    let once = [("Idempotency-Key", "1")];
    let [of_anna, of_ben] = [(&anna, "a boat"), (&ben, "a tree")]
        .map(|(door, words)| text(&door.post("/v1/jobs", &once, &json!({ "text": words })).is(202).json()["id"]));
    assert_ne!(of_anna, of_ben);
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused_before_a_worker_has_seen_the_first() {
    let stack = Stack::start();
    let (door, _process) = gateway(&stack, &[]);
    let once = [("Idempotency-Key", "used")];
    let first = door.post("/v1/jobs", &once, &json!({ "text": "a boat" })).is(202).json();
    let again = door.post("/v1/jobs", &once, &json!({ "text": "a boat" })).is(202).json();
    assert_eq!((&again["id"], &again["state"]), (&first["id"], &"queued".into()));
    let other = door.post("/v1/jobs", &once, &json!({ "text": "a tree" })).is(409).json();
    assert_eq!(other["error"]["code"], "name-used", "{other}");
    let sound = [("Content-Type", "audio/wav"), once[0]];
    for size in [1000, 9 << 20] {
        let refused = door.send("POST", "/v1/jobs", &sound, &vec![1; size]).is(409).json();
        assert_eq!(refused["error"]["param"], "Idempotency-Key", "{refused}");
    }
    let client = stack.client().await;
    assert_eq!((client.keys("audio/").await, client.lying("TEXT").await), (Vec::new(), 1));
    let large = [("Content-Type", "audio/wav"), ("Idempotency-Key", "large")];
    let id = door.send("POST", "/v1/jobs", &large, &vec![1; 9 << 20]).is(202).json()["id"].clone();
    assert_eq!(door.send("POST", "/v1/jobs", &large, &vec![1; 9 << 20]).is(202).json()["id"], id);
    assert_eq!(door.send("POST", "/v1/jobs", &large, &vec![2; 9 << 20]).is(409).json()["error"]["code"], "name-used");
    let empty = door.post("/v1/jobs", &[("Idempotency-Key", "")], &json!({ "text": "a boat" })).is(400);
    assert_eq!(empty.json()["error"]["param"], "Idempotency-Key");
}

#[tokio::test]
async fn whoever_hangs_up_cancels_a_job_of_its_own_and_none_that_others_may_wait_for() {
    let stack = Stack::start();
    let (door, process) = gateway(&stack, &[]);
    let client = stack.client().await;
    let body = json!({ "prompt": "a boat" }).to_string();
    for (key, waiting) in [(Some("shared"), 1), (None, 2)] {
        let length = body.len().to_string();
        let mut headers = vec![("Content-Length", length.as_str()), ("Content-Type", "application/json")];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        let mut link = door.open("POST", "/v1/images/generations", &headers);
        link.write_all(body.as_bytes()).expect("a connection");
        until("the job", async || (client.lying("TEXT").await == waiting).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(link);
    }
    // What hung up later is canceled, so what hung up before it is not.
    process.says("its caller hung up", shanshui_tests::PATIENCE);
    assert_eq!(client.lying("CANCELS").await, 1);
}
