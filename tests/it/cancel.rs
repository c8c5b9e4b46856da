//! Jobs that their sender takes back.

use serde_json::json;

use shanshui_tests::{Job, Process, Stack, shared};

/// Long enough that no machine is through with it before a cancel arrives.
fn long_job(job: &Job) -> String {
    json!({ "id": job.id, "text": "a river", "picture": { "steps": 100, "count": 8 } }).to_string()
}

#[tokio::test]
async fn a_job_that_waits_is_dropped() {
    let stack = Stack::start();
    let client = stack.client().await;
    let (waiting, next) = (Job::new("waiting"), Job::new("next"));
    client.publish(&waiting, "text", long_job(&waiting)).await;
    client.cancel(&waiting.id).await;
    client.publish(&next, "text", "a boat").await;
    let _worker = stack.worker("paint", "hand");
    assert_eq!(client.follow(&waiting.id).await.finals(), ["canceled"]);
    assert_eq!(client.follow(&next.id).await.finals(), ["done"]);
    assert_eq!(client.keys(&format!("jobs/{}/", waiting.id)).await, [format!("jobs/{}/end.json", waiting.id)]);
    assert_eq!(client.whole_story(&waiting.id).await.finals(), ["canceled"]);
}

#[tokio::test]
async fn a_job_that_runs_is_stopped() {
    let client = shared().client().await;
    let job = Job::new("running");
    client.publish(&job, "text", long_job(&job)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    client.cancel(&job.id).await;
    let story = client.follow(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "canceled"]);
    assert_eq!(client.keys(&format!("jobs/{}/", job.id)).await, [format!("jobs/{}/end.json", job.id)]);
}

#[tokio::test]
async fn a_job_taken_back_while_its_worker_was_killed_is_not_begun_again() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let client = stack.client().await;
    let job = Job::new("orphan");
    let first: Process = stack.worker("paint", "first");
    client.publish(&job, "text", long_job(&job)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    drop(first);
    client.cancel(&job.id).await;
    let _second = stack.worker("paint", "second");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.finals(), ["canceled"]);
    assert!(story.all("picture").is_empty());
}
