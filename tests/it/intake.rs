//! Recordings that are dropped into a bucket, with a real queue, store and workers.

use std::process::Command;

use serde_json::{Value, json};

use shanshui_tests::{Client, PATIENCE, Pages, Process, Stack, recording, shared, until};

/// What MinIO publishes when somebody puts these objects.
fn told(keys: &[String]) -> String {
    let record = |key: &String| {
        let object =
            json!({ "key": key.replace('/', "%2F").replace(' ', "+"), "size": 1, "sequencer": "17F0A1B2C3D4E5F6" });
        json!({
            "eventVersion": "2.0", "eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put",
            "s3": { "bucket": { "name": "shanshui" }, "object": object },
        })
    };
    json!({ "EventName": "s3:ObjectCreated:Put", "Records": keys.iter().map(record).collect::<Vec<_>>() }).to_string()
}

/// An intake of its own on this stack, watching the folder of its name.
fn intake(stack: &Stack, name: &str, more: &[&str]) -> Process {
    let applied = stack.run(&["streams", "apply", "--intake", name]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let process = Process::spawn("intake", &mut command(stack, name, more));
    process.says("taking recordings", PATIENCE);
    process
}

fn command(stack: &Stack, name: &str, more: &[&str]) -> Command {
    let folder = format!("{name}/");
    let own = ["intake", "--intake", name, "--watch-prefix", &folder];
    let mut command = stack.command(&[&own, more].concat());
    command.env("RUST_LOG", "info");
    command
}

async fn comes(client: &Client<'_>, key: &str) {
    until(key, async || client.has(key).await.then_some(())).await;
}

/// What the intakes wrote down of recordings below `prefix`, by job.
async fn records(client: &Client<'_>, prefix: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for key in client.keys("jobs/in-").await.iter().filter(|key| key.ends_with("/intake.json")) {
        let record = client.json(key).await;
        if record["key"].as_str().is_some_and(|key| key.starts_with(prefix)) {
            found.push(record);
        }
    }
    found
}

#[tokio::test]
async fn a_recording_that_is_dropped_comes_back_as_words_and_pictures_once() {
    let (stack, client) = (shared(), shared().client().await);
    let settings = json!({ "picture": { "count": 1, "steps": 2, "seed": 7 }, "labels": { "who": "me" } });
    client.put("once/my hello.json", settings.to_string()).await;
    client.put("once/my hello.wav", recording("cat.wav")).await;
    let _intake = intake(stack, "once", &["--lane", "bucket"]);
    let event = told(&["once/my hello.json".into(), "once/my hello.wav".into()]);
    for _ in 0..2 {
        client.tell("once", event.clone()).await;
    }
    comes(&client, "once/my hello.receipt.json").await;
    let words = String::from_utf8_lossy(&client.object("once/my hello.txt").await).to_lowercase();
    assert!(words.contains("cat"), "{words}");
    assert!(client.object("once/my hello-0.png").await.starts_with(b"\x89PNG"));
    assert_eq!(client.json("once/my hello.json").await, settings, "a sidecar stays as it is");
    // What came back is told as well, and starts nothing.
    let back =
        ["my hello.txt", "my hello-0.png", "my hello.receipt.json", "my hello.wav"].map(|name| format!("once/{name}"));
    client.tell("once", told(&back)).await;
    until("all events are read", async || (client.lying("INTAKE").await == 0).then_some(())).await;
    let records = records(&client, "once/").await;
    assert_eq!(records.len(), 1, "{records:#?}");
    let job = &records[0]["job"];
    let story = client.whole_story(job["id"].as_str().expect("a name")).await;
    assert_eq!(story.kinds(), ["accepted", "started", "transcript", "started", "picture", "done"]);
    assert_eq!(story.one("accepted")["labels"], json!({ "recording": "once/my hello.wav", "who": "me" }));
    assert_eq!((&story.one("accepted")["lane"], &story.one("picture")["seed"]), (&json!("bucket"), &json!(7)));
}

#[tokio::test]
async fn two_hundred_records_in_one_event_survive_a_kill_and_each_is_one_job() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let client = stack.client().await;
    let keys: Vec<String> = (0..200).map(|n| format!("many/{n}.wav")).collect();
    for key in &keys {
        client.put(key, key.clone()).await;
    }
    let applied = stack.run(&["streams", "apply", "--ack-wait-seconds", "2", "--intake", "many"]);
    assert!(applied.status.success());
    client.tell("many", told(&keys)).await;
    let first = Process::spawn("intake", &mut command(&stack, "many", &[]));
    until("some jobs", async || (client.lying("AUDIO").await >= 20).then_some(())).await;
    first.signal("KILL");
    first.ends(PATIENCE);
    let before = client.lying("AUDIO").await;
    assert!(before < 200 && client.lying("INTAKE").await == 1, "{before} jobs, and the event is still there");
    let _second = Process::spawn("intake", &mut command(&stack, "many", &[]));
    until("the event is done", async || (client.lying("INTAKE").await == 0).then_some(())).await;
    assert_eq!(client.lying("AUDIO").await, 200);
    let copies = client.keys("audio/in-").await;
    assert_eq!(copies.len(), 200);
    let mut taken: Vec<Value> = records(&client, "many/").await.iter().map(|record| record["key"].clone()).collect();
    taken.sort_by_key(ToString::to_string);
    taken.dedup();
    assert_eq!(taken.len(), 200);
}

#[tokio::test]
async fn the_poller_takes_each_recording_once_and_marks_what_is_none() {
    let (stack, client) = (shared(), shared().client().await);
    client.put("look/a/good.wav", recording("cat.wav")).await;
    client.put("look/a/bad.wav", "no recording at all").await;
    client.put("look/a/quiet.wav", recording("silence.wav")).await;
    client.put("look/a/wish.wav", recording("cat.wav")).await;
    client.put("look/a/wish.json", r#"{ "picture": { "steps": 0 } }"#).await;
    // Somebody else's, with the name of a result.
    client.put("found/a/good.txt", "mine").await;
    let flags = ["--poll", "1", "--results", "found/", "--until", "transcript"];
    let first = intake(stack, "look", &flags);
    comes(&client, "found/a/good.wav.json").await;
    assert_eq!(client.object("found/a/good.txt").await, "mine");
    let marker = async |name: &str| {
        let key = format!("found/a/{name}.error.txt");
        comes(&client, &key).await;
        String::from_utf8_lossy(&client.object(&key).await).into_owned()
    };
    let bad = marker("bad").await;
    assert!(bad.contains("code: bad-input"), "{bad}");
    assert!(marker("quiet").await.starts_with("nobody speaks in the recording: silence"));
    assert!(marker("wish").await.starts_with("picture.steps: 0 is not allowed"));
    first.signal("KILL");
    first.ends(PATIENCE);
    // The same names, with a recording this time; all others are known, also to a new process.
    client.put("look/a/bad.wav", recording("cat.wav")).await;
    let pages = Pages::reserve();
    let second = [&flags[..], &["--http", pages.address()]].concat();
    let _second = intake(stack, "look", &second);
    comes(&client, "found/a/bad.json").await;
    until("the marker goes", async || (!client.has("found/a/bad.error.txt").await).then_some(())).await;
    numbers(&pages).await;
    let records = records(&client, "look/").await;
    let mut keys: Vec<&str> = records.iter().filter_map(|record| record["key"].as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["look/a/bad.wav", "look/a/bad.wav", "look/a/good.wav", "look/a/quiet.wav"]);
    for record in &records {
        let job = record["job"]["id"].as_str().expect("a name");
        assert_eq!(client.whole_story(job).await.all("accepted").len(), 1);
        let reason = client.dead(job).await.map(|dead| dead.reason);
        assert!(reason.is_none_or(|reason| bad.starts_with(&reason)), "{bad}");
    }
}

/// What the second intake says of itself: it knew three, and refused the one with a wrong sidecar again.
async fn numbers(pages: &Pages) {
    pages.ready().await;
    let objects = |outcome: &str| pages.metric(&format!("shanshui_intake_objects_total{{outcome=\"{outcome}\"}}"));
    until("the results are counted", async || {
        (pages.metric("shanshui_intake_results_total{outcome=\"brought\"}") >= 1.0).then_some(())
    })
    .await;
    assert_eq!(objects("submitted"), 1.0);
    assert!(objects("known") >= 2.0 && objects("refused") >= 1.0, "{:?}", pages.get("/metrics"));
    assert!(pages.metric("shanshui_intake_listing_seconds_count{part=\"listing\"}") >= 1.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs_f64();
    for part in ["events", "listing", "results"] {
        let last = pages.metric(&format!("shanshui_intake_success_timestamp_seconds{{part=\"{part}\"}}"));
        assert!((now - 60.0..=now + 1.0).contains(&last), "{part}: {last} at {now}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_goes_to_dead_with_its_reason() {
    let (stack, client) = (shared(), shared().client().await);
    let _intake = intake(stack, "odd", &[]);
    for (event, why) in [("{", "no JSON: EOF"), (r#"{"hello":1}"#, "no event of a bucket")] {
        client.tell("odd", event).await;
        let letter = until("a dead letter", async || {
            let output = stack.run(&["dead", "list", "--json"]);
            let lines = String::from_utf8_lossy(&output.stdout).into_owned();
            lines.lines().find(|line| line.contains(why)).map(str::to_owned)
        });
        let letter: Value = serde_json::from_str(&letter.await).expect("JSON");
        assert_eq!(letter["subject"], "shanshui.intake.odd", "{letter:#}");
    }
    until("the events are gone", async || (client.lying("INTAKE").await == 0).then_some(())).await;
}
