//! Workers that die without a word, at moments that matter.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use shanshui_tests::{Job, Stack, recording, sha256, until};

use super::{Worker, connect, lasting};

/// The ack wait of these tests, in seconds: the shortest there is.
const ACK_WAIT: u64 = 2;
/// A job of a killed worker begins again after at most the ack wait and this.
const SLACK: Duration = Duration::from_secs(5);
/// Time between a deed and the news of it, for a kill to come between.
const HELD: Duration = Duration::from_secs(1);

#[tokio::test]
async fn r01_a_killed_transcribers_job_begins_again_within_the_ack_wait() {
    let stack = Stack::start_with(&["--ack-wait-seconds", &ACK_WAIT.to_string()]);
    let client = stack.client().await;
    let mut ears = Vec::from(["ear-1", "ear-2"].map(|name| (name, Worker::start(&stack, "transcribe", name))));
    let job = Job::new("spoken");
    client.put("audio/spoken.wav", recording("mountains.wav")).await;
    let payload = json!({ "id": job.id, "audio": { "key": "audio/spoken.wav" }, "until": "transcript" });
    client.publish(&job, "audio", payload.to_string()).await;
    let victim = holder(&stack, &job).await;
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

#[tokio::test]
async fn r02_killed_between_the_last_object_and_the_final_event_nothing_is_computed_again() {
    let stack = Stack::start_with(&["--ack-wait-seconds", &ACK_WAIT.to_string()]);
    let (client, first, job) = (stack.client().await, Worker::start(&stack, "paint", "first"), Job::new("stored"));
    let loaded = calls(&first);
    client.publish(&job, "text", lasting(&job)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    // Objects are stored at once, and the worker hears of it later: the kill comes between.
    stack.objects().faults().slow(HELD);
    there(&stack, &job, "receipt.json").await;
    drop(first);
    stack.objects().faults().slow(Duration::ZERO);
    let before = times(&stack, &job);
    let second = Worker::start(&stack, "paint", "second");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "started", "done"]);
    assert_eq!(calls(&second), loaded, "the model worked again");
    assert_eq!(times(&stack, &job), before);
}

#[tokio::test]
async fn r02_killed_between_a_picture_and_its_event_the_picture_stays_and_is_told_once() {
    let stack = Stack::start_with(&["--ack-wait-seconds", &ACK_WAIT.to_string()]);
    let (client, first, job) = (stack.client().await, Worker::start(&stack, "paint", "first"), Job::new("untold"));
    client.publish(&job, "text", lasting(&job)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    stack.objects().faults().stall(true);
    there(&stack, &job, "0.png").await;
    drop(first);
    stack.objects().faults().stall(false);
    let before = times(&stack, &job);
    let _second = Worker::start(&stack, "paint", "second");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "started", "picture", "done"]);
    assert_eq!(times(&stack, &job)[..1], before);
    assert_eq!(story.one("picture")["sha256"], sha256(&client.object(&format!("jobs/{}/0.png", job.id)).await));
}

/// Calls of a paint worker's model so far; loading it is one, too.
fn calls(worker: &Worker) -> f64 {
    worker.pages.metric("shanshui_model_seconds_count{stage=\"paint\"}")
}

async fn there(stack: &Stack, job: &Job, name: &str) {
    let file = stack.objects().file(&format!("jobs/{}/{name}", job.id));
    until(name, async || file.exists().then_some(())).await;
}

/// When the objects of a job were written, the picture first.
fn times(stack: &Stack, job: &Job) -> Vec<SystemTime> {
    let files = ["0.png", "receipt.json"].map(|name| stack.objects().file(&format!("jobs/{}/{name}", job.id)));
    let found = files.iter().filter_map(|file| std::fs::metadata(file).ok());
    found.map(|file| file.modified().expect("a time")).collect()
}

#[tokio::test]
async fn r03_killed_between_the_next_job_and_its_own_ack_the_next_job_is_there_once() {
    let stack = Stack::behind_proxies(&["--ack-wait-seconds", &ACK_WAIT.to_string()]);
    let (client, first) = (stack.client().await, Worker::start(&stack, "transcribe", "first"));
    let job = handed_on(&stack).await;
    drop(first);
    stack.nats_proxy().delay(Duration::ZERO);
    let _second = Worker::start(&stack, "transcribe", "second");
    until("an empty queue", async || (client.waiting("AUDIO", "transcribe").await == 0).then_some(())).await;
    assert_eq!(published(&stack).await, 1, "the second publication was no duplicate");
    let _hand = Worker::start(&stack, "paint", "hand");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "transcript", "started", "started", "picture", "done"]);
    assert_eq!(story.all("started")[1]["worker"], "second");
}

#[tokio::test]
async fn r04_a_server_that_forgot_the_next_job_costs_one_more_delivery_and_no_second_picture() {
    let mut stack = Stack::behind_proxies(&["--ack-wait-seconds", &ACK_WAIT.to_string()]);
    let mut ears = Vec::from(["ear-1", "ear-2"].map(|name| (name, Worker::start(&stack, "transcribe", name))));
    let job = handed_on(&stack).await;
    let victim = holder(&stack, &job).await;
    ears.retain(|(name, _)| *name != victim);
    stack.nats_proxy().delay(Duration::ZERO);
    let ear = &ears[0].1;
    let hand = done_while_it_stands_still(&stack, &job, ear).await;
    let file = stack.objects().file(&format!("jobs/{}/0.png", job.id));
    let before = std::fs::metadata(&file).expect("a picture").modified().expect("a time");
    // A message id is forgotten when its message is acknowledged and the server starts anew.
    stack.stop_nats();
    stack.start_nats();
    ear.process.signal("CONT");
    // One that stood still for longer than its lease asks before it publishes.
    let asked = || ear.pages.metric("shanshui_jobs_total{stage=\"transcribe\",outcome=\"already-ended\"}") == 1.0;
    until("a forgotten id", async || (published(&stack).await == 2 || asked()).then_some(())).await;
    let story = stack.client().await.whole_story(&job.id).await;
    assert_eq!((story.finals(), story.all("picture").len()), (vec!["done"], 1), "{:#?}", story.told());
    let again = f64::from(u8::from(!asked()));
    assert_eq!(hand.pages.metric("shanshui_deliveries_total{stage=\"paint\"}"), 1.0 + again);
    assert_eq!(hand.pages.metric("shanshui_jobs_total{stage=\"paint\",outcome=\"already-ended\"}"), again);
    assert_eq!(std::fs::metadata(&file).expect("a picture").modified().expect("a time"), before);
}

/// Has the next stage do the job while `ear`, which got it again, does not move.
async fn done_while_it_stands_still(stack: &Stack, job: &Job, ear: &Worker) -> Worker {
    let client = stack.client().await;
    // The first thing that it asks is the store.
    stack.objects().faults().stall(true);
    client.read(&job.id, |story| story.all("started").len() == 2).await;
    ear.process.signal("STOP");
    stack.objects().faults().stall(false);
    let hand = Worker::start(stack, "paint", "hand");
    client.follow(&job.id).await;
    until("an empty queue", async || (client.waiting("TEXT", "paint").await == 0).then_some(())).await;
    hand
}

/// A job that is on the next queue and still on its own: a slow link keeps the worker from
/// hearing of the PubAck, and its ack from being heard.
async fn handed_on(stack: &Stack) -> Job {
    let (client, job) = (stack.client().await, Job::new("handed-on"));
    client.put("audio/mountains.wav", recording("mountains.wav")).await;
    let picture = json!({ "width": 64, "height": 64, "steps": 2, "count": 1 });
    let payload = json!({ "id": job.id, "audio": { "key": "audio/mountains.wav" }, "picture": picture });
    client.publish(&job, "audio", payload.to_string()).await;
    client.follow_to(&job.id, "started", "transcribe").await;
    stack.nats_proxy().delay(HELD);
    until("the next job", async || (published(stack).await == 1).then_some(())).await;
    job
}

/// The worker that has begun a job.
async fn holder(stack: &Stack, job: &Job) -> String {
    let story = stack.client().await.follow_to(&job.id, "started", "transcribe").await;
    story.one("started")["worker"].as_str().expect("a name").to_owned()
}

/// Messages that the stream of the next stage ever took in.
async fn published(stack: &Stack) -> u64 {
    let text = connect(stack).await.get_stream("TEXT").await.expect("a stream");
    text.cached_info().state.last_sequence
}
