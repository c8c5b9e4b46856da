//! The ways in which a recording reaches the queue.

use bytes::Bytes;
use rmpv::Value;
use serde_json::json;

use shanshui_tests::{Client, Job, recording, sha256, shared};

const WORDS: &str = "Draw me a red apple on a green field.";

#[tokio::test]
async fn a_recording_may_lie_in_the_bucket() {
    let client = shared().client().await;
    let (key, hash) = store(&client, "audio/forms/apple.wav").await;
    let job = Job::new("stored");
    let payload = json!({ "audio": { "key": key, "sha256": hash }, "until": "transcript" });
    let story = client.publish_and_follow(&job, "audio", payload.to_string()).await;
    assert_eq!(story.words().trim(), WORDS);
}

#[tokio::test]
async fn a_recording_that_is_not_the_one_meant_is_refused() {
    let client = shared().client().await;
    let (key, _) = store(&client, "audio/forms/other.wav").await;
    let job = Job::new("mistaken");
    let payload = json!({ "audio": { "key": key, "sha256": "0".repeat(64) } });
    let story = client.publish_and_follow(&job, "audio", payload.to_string()).await;
    let reason = story.one("failed")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("sha256"), "{reason}");
}

#[tokio::test]
async fn a_recording_that_is_not_there_is_refused_at_the_first_attempt() {
    let client = shared().client().await;
    let job = Job::new("absent");
    let payload = json!({ "audio": { "key": "audio/forms/nothing.wav" } });
    let story = client.publish_and_follow(&job, "audio", payload.to_string()).await;
    assert_eq!(story.one("failed")["attempts"], 1);
    let reason = story.one("failed")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("audio/forms/nothing.wav"), "{reason}");
}

#[tokio::test]
async fn a_recording_may_lie_inside_messagepack() {
    let client = shared().client().await;
    let job = Job::new("inside");
    let audio = Value::Map(vec![("bytes".into(), Value::Binary(recording("apple.wav")))]);
    let value = Value::Map(vec![
        ("id".into(), job.id.as_str().into()),
        ("audio".into(), audio),
        ("language".into(), "en".into()),
        ("until".into(), "transcript".into()),
    ]);
    let mut payload = Vec::new();
    rmpv::encode::write_value(&mut payload, &value).expect("memory takes it");
    let story = client.publish_and_follow(&job, "audio", payload).await;
    assert_eq!(story.words().trim(), WORDS);
}

#[tokio::test]
async fn a_flac_recording_in_stereo_is_understood_as_well() {
    let client = shared().client().await;
    let job = Job::new("flac");
    client.put("audio/forms/jfk.flac", recording("jfk.flac")).await;
    let payload = json!({ "audio": { "key": "audio/forms/jfk.flac" }, "until": "transcript" });
    let story = client.publish_and_follow(&job, "audio", payload.to_string()).await;
    assert!(story.words().contains("ask what you can do for your country"), "{}", story.words());
}

async fn store(client: &Client<'_>, key: &str) -> (String, String) {
    let bytes = Bytes::from(recording("apple.wav"));
    let hash = sha256(&bytes);
    client.put(key, bytes).await;
    (key.to_owned(), hash)
}
