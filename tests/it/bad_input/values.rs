//! Objects with one wrong value.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use shanshui_tests::{Job, recording, shared};

use super::{Bad, all_are_buried};

fn text(what: &'static str, job: &Value, names: &'static [&'static str]) -> Bad {
    Bad::json(what, "text", job.to_string(), names)
}

fn picture(what: &'static str, wishes: &Value, names: &'static [&'static str]) -> Bad {
    text(what, &json!({ "text": "a cat", "picture": wishes }), names)
}

fn audio(what: &'static str, job: &Value, names: &'static [&'static str]) -> Bad {
    Bad::json(what, "audio", job.to_string(), names)
}

#[tokio::test]
async fn s12_wishes_out_of_range_are_buried() {
    all_are_buried(vec![
        picture("no width", &json!({ "width": 0 }), &["picture.width", "0"]),
        picture("an odd width", &json!({ "width": 100 }), &["picture.width", "100", "multiple of 8"]),
        picture("a width below zero", &json!({ "width": -64 }), &["picture.width", "-64"]),
        picture("a huge width", &json!({ "width": 2_147_483_648_u64 }), &["picture.width", "2147483648"]),
        picture("a height in words", &json!({ "height": "tall" }), &["picture.height", "tall"]),
        picture("more pixels than a worker paints", &json!({ "width": 4096, "height": 4096 }), &["picture", "4096"]),
        picture("no step", &json!({ "steps": 0 }), &["picture.steps", "0"]),
        picture("too many steps", &json!({ "steps": 100_000 }), &["picture.steps", "100000"]),
        picture("half a step", &json!({ "steps": 2.5 }), &["picture.steps", "2.5"]),
        picture("no picture", &json!({ "count": 0 }), &["picture.count", "0"]),
        picture("too many pictures", &json!({ "count": 1000 }), &["picture.count", "1000"]),
        picture("guidance below zero", &json!({ "guidance": -1 }), &["picture.guidance", "-1"]),
        picture("a seed below zero", &json!({ "seed": -1 }), &["picture.seed", "-1"]),
        picture("wishes that are no object", &json!("big"), &["picture", "big"]),
    ])
    .await;
}

#[tokio::test]
async fn s10_names_that_nobody_knows_are_buried() {
    all_are_buried(vec![
        picture("a sampler", &json!({ "sampler": "dice" }), &["picture.sampler", "dice"]),
        picture("a model", &json!({ "model": "gpt-9" }), &["picture.model", "gpt-9"]),
        picture("a format", &json!({ "format": "bmp" }), &["picture.format", "bmp", "png"]),
        text("a job's name", &json!({ "id": "../up", "text": "a" }), &["id", "../up"]),
        text("a deadline", &json!({ "text": "a", "deadline": "soon" }), &["deadline", "soon"]),
        text("a label", &json!({ "text": "a", "labels": { "tenant": 5 } }), &["labels.tenant", "5"]),
        audio("a language", &json!({ "audio": { "bytes": "AAAA" }, "language": "klingon" }), &["language", "klingon"]),
        audio("a task", &json!({ "audio": { "bytes": "AAAA" }, "task": "sing" }), &["task", "sing"]),
        audio("an end", &json!({ "audio": { "bytes": "AAAA" }, "until": "supper" }), &["until", "supper"]),
    ])
    .await;
}

#[tokio::test]
async fn s09_texts_without_end_and_jobs_that_are_late_are_buried() {
    let endless = "mountain ".repeat(100_000 / 9 + 1);
    all_are_buried(vec![
        text("100,000 characters", &json!({ "text": endless }), &["text", "characters"]),
        Bad::raw("100,000 characters, raw", "text", endless.clone(), &["text", "characters"]),
        text("a deadline in the past", &json!({ "text": "a", "deadline": "2001-01-01T00:00:00Z" }), &["deadline"]),
    ])
    .await;
}

#[tokio::test]
async fn what_a_worker_would_publish_and_the_server_not_take_is_buried() {
    // In MessagePack a byte each, in the JSON of the next job six.
    let long = Value::from("\u{1}".repeat(400_000));
    let job = json!({ "audio": { "bytes": BASE64_STANDARD.encode(recording("cat.wav")) }, "note": long });
    let job: rmpv::Value = serde_json::from_value(job).expect("a value");
    let mut packed = Vec::new();
    rmpv::encode::write_value(&mut packed, &job).expect("memory takes it");
    let labels: serde_json::Map<_, _> = (0..65).map(|n| (format!("l{n}"), json!("x"))).collect();
    all_are_buried(vec![
        Bad { queue: "audio", ..Bad::packed("a next job that is too large", &packed, &["next stage", "max_payload"]) },
        text("more labels than an event holds", &json!({ "text": "a", "labels": labels }), &["labels", "65", "64"]),
    ])
    .await;
}

#[tokio::test]
async fn a_job_that_asked_jetstream_for_something_is_buried_and_replayed() {
    let client = shared().client().await;
    let job = Job::new("expecting").with("Nats-Expected-Stream", "TEXT");
    let payload = json!({ "text": "a boat", "picture": { "sampler": "dice" } });
    let story = client.publish_and_follow(&job, "text", payload.to_string()).await;
    assert_eq!(story.finals(), ["failed"]);
    assert!(client.dead(&job.id).await.is_some());
    let list = client.stack().run(&["dead", "list", "--json"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let letters = list.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let letter = letters.flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value]));
    let letter = { letter }.find(|letter| letter["job"] == job.id.as_str()).expect("its letter");
    let replayed = client.stack().run(&["dead", "replay", &letter["sequence"].to_string()]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    client.read(&job.id, |story| story.finals().len() == 2).await;
}
