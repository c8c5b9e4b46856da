//! Workers that die without a word, at moments that matter.

use std::time::{Duration, Instant};

use serde_json::json;

use shanshui_tests::{Job, Stack, recording};

use super::Worker;

/// The ack wait of these tests, in seconds: the shortest there is.
const ACK_WAIT: u64 = 2;
/// A job of a killed worker begins again after at most the ack wait and this.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test]
async fn r01_a_killed_transcribers_job_begins_again_within_the_ack_wait() {
    let stack = Stack::start_with(&["--ack-wait-seconds", &ACK_WAIT.to_string()]);
    let client = stack.client().await;
    let mut ears = Vec::from(["ear-1", "ear-2"].map(|name| (name, Worker::start(&stack, "transcribe", name))));
    let job = Job::new("spoken");
    client.put("audio/spoken.wav", recording("mountains.wav")).await;
    let payload = json!({ "id": job.id, "audio": { "key": "audio/spoken.wav" }, "until": "transcript" });
    client.publish(&job, "audio", payload.to_string()).await;
    let story = client.follow_to(&job.id, "started", "transcribe").await;
    let victim = story.one("started")["worker"].as_str().expect("a name").to_owned();
    // What is not kept is dropped, and a dropped process is killed with SIGKILL.
    ears.retain(|(name, _)| *name != victim);
    let killed = Instant::now();
    client.read(&job.id, |story| story.all("started").len() == 2).await;
    let recovery = killed.elapsed();
    assert!(recovery <= Duration::from_secs(ACK_WAIT) + SLACK, "begun again after {recovery:?}");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "started", "transcript", "done"]);
    assert_eq!(story.all("started")[1]["attempt"], 2);
    let (_, survivor) = &ears[0];
    assert_eq!(survivor.pages.metric("shanshui_redelivered_total{stage=\"transcribe\"}"), 1.0);
}
