//! Workers that die without a word.

use serde_json::json;

use shanshui_tests::{Job, Stack};

#[tokio::test]
async fn a_killed_workers_job_is_done_once_by_another() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let client = stack.client().await;
    let job = Job::new("left");
    let payload = json!({ "id": job.id, "text": "a river", "picture": { "steps": 40, "count": 2 } });
    let first = stack.worker("paint", "first");
    client.publish(&job, "text", payload.to_string()).await;
    client.follow_to(&job.id, "progress", "paint").await;
    // Dropping kills with SIGKILL.
    drop(first);
    let _second = stack.worker("paint", "second");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "started", "picture", "picture", "done"]);
    assert_eq!(story.all("started")[1]["worker"], "second");
    assert_eq!(story.all("started")[1]["attempt"], 2);
}
