//! NATS that is late, killed, or stands still.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use shanshui_tests::{Job, PATIENCE, Stack, recording, until};

use super::{Worker, connect, lasting, painting, small, told};

/// A worker takes jobs again this long after its queue is back.
const RECOVERY: Duration = Duration::from_secs(10);
/// Three pings of ten seconds, and a little for a busy machine to say so.
const DECLARED_DEAD: Duration = Duration::from_secs(35);

#[tokio::test]
async fn r05_a_server_killed_under_load_loses_no_accepted_job_and_no_worker() {
    let mut stack = Stack::start_with(&["--ack-wait-seconds", "5"]);
    let workers = ["transcribe", "paint"].map(|stage| Worker::start(&stack, stage, stage));
    let jobs = accepted(&stack).await;
    stack.stop_nats();
    stack.start_nats();
    let (client, queue) = (stack.client().await, connect(&stack).await);
    let (back, before) = (Instant::now(), told(&queue, "started").await);
    until("a job that begins", async || (told(&queue, "started").await > before).then_some(())).await;
    assert!(back.elapsed() <= RECOVERY, "the next job began after {:?}", back.elapsed());
    for job in &jobs {
        client.follow(&job.id).await;
        let story = client.whole_story(&job.id).await;
        assert_eq!(story.finals(), ["done"], "{:#?}", story.told());
        assert_eq!(story.all("picture").len(), 1, "{:#?}", story.told());
    }
    assert!(workers.iter().all(|worker| worker.process.is_running()), "a worker ended");
}

/// A worker with a delivery that its server does not know any more, because it was killed right after it.
async fn forgotten(payload: impl FnOnce(&Job) -> String) -> (Stack, Worker, Job) {
    let mut stack = Stack::start_with(&["--ack-wait-seconds", "5"]);
    let job = Job::new("forgotten");
    stack.client().await.publish(&job, "text", payload(&job)).await;
    stack.stop_nats();
    let consumers = stack.folder().join("nats/jetstream/$G/streams/TEXT/obs");
    let before = stack.folder().join("before");
    copy(&consumers, &before);
    stack.start_nats();
    let worker = Worker::start(&stack, "paint", "hand");
    stack.client().await.follow_to(&job.id, "progress", "paint").await;
    stack.stop_nats();
    std::fs::remove_dir_all(&consumers).expect("the consumers of TEXT");
    copy(&before, &consumers);
    stack.start_nats();
    (stack, worker, job)
}

#[tokio::test]
async fn r05_a_killed_server_that_forgot_a_delivery_delivers_again_what_is_found_done() {
    let (stack, worker, job) = forgotten(lasting).await;
    let (client, next) = (stack.client().await, Job::new("next"));
    client.follow(&job.id).await;
    assert_eq!(client.publish_and_follow(&next, "text", painting(&next, 2)).await.finals(), ["done"]);
    until("the second delivery is found done", async || {
        let found = worker.pages.metric("shanshui_jobs_total{stage=\"paint\",outcome=\"already-ended\"}");
        (found == 1.0).then_some(())
    })
    .await;
    let story = client.whole_story(&job.id).await;
    assert_eq!((story.finals(), story.all("picture").len()), (vec!["done"], 1), "{:#?}", story.told());
}

#[tokio::test]
async fn r05_a_killed_server_that_forgot_a_delivery_keeps_no_worker_from_going_on() {
    let endless = |job: &Job| {
        let picture = json!({ "width": 768, "height": 768, "steps": 150, "count": 1 });
        json!({ "id": job.id, "text": "a boat", "picture": picture }).to_string()
    };
    let (stack, worker, job) = forgotten(endless).await;
    let (client, next) = (stack.client().await, Job::new("next"));
    // After an end that is no success the slot is kept until all is told.
    client.cancel(&job.id).await;
    client.follow(&job.id).await;
    assert_eq!(client.whole_story(&job.id).await.finals(), ["canceled"]);
    assert_eq!(client.publish_and_follow(&next, "text", painting(&next, 2)).await.finals(), ["done"]);
    assert!(worker.process.log().contains("does not know this delivery any more"), "{}", worker.process.log());
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.expect("cp starts").success(), "cp -r {} {}", from.display(), to.display());
}

/// Jobs on both queues, some of them in work.
async fn accepted(stack: &Stack) -> Vec<Job> {
    let client = stack.client().await;
    client.put("audio/cat.wav", recording("cat.wav")).await;
    let mut jobs = Vec::new();
    for n in 0..12 {
        let job = Job::new("kept");
        if n % 4 == 0 {
            let picture = json!({ "width": 64, "height": 64, "steps": 4, "count": 1 });
            let payload = json!({ "id": job.id, "audio": { "key": "audio/cat.wav" }, "picture": picture });
            client.publish(&job, "audio", payload.to_string()).await;
        } else {
            client.publish(&job, "text", painting(&job, 40)).await;
        }
        jobs.push(job);
    }
    client.follow_to(&jobs[1].id, "progress", "paint").await;
    jobs
}

#[tokio::test]
async fn r06_a_worker_waits_for_a_queue_that_is_not_there_yet() {
    let mut stack = Stack::start();
    stack.stop_nats();
    let worker = Worker::spawn("patient", small(&stack, "paint", "patient"));
    worker.pages.unready("nats").await;
    // Longer than the longest pause between two tries to connect, which is 4 s.
    let until_late = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until_late {
        assert_eq!(worker.pages.get("/readyz").map(|(status, _)| status), Some(503));
        assert!(worker.process.is_running(), "{}", worker.process.log());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    stack.start_nats();
    worker.pages.ready().await;
    let client = stack.client().await;
    let job = Job::new("late");
    assert_eq!(client.publish_and_follow(&job, "text", painting(&job, 2)).await.finals(), ["done"]);
    assert_eq!(worker.pages.metric("shanshui_jobs_total{stage=\"paint\",outcome=\"done\"}"), 1.0);
    assert_eq!(worker.pages.get("/livez").map(|(status, _)| status), Some(200));
}

#[tokio::test]
async fn r07_a_link_on_which_nothing_moves_is_given_up_and_the_worker_recovers_alone() {
    // Both at once: each takes half a minute of waiting.
    tokio::join!(half_open(), stopped());
}

/// A proxy that passes nothing on.
async fn half_open() {
    let stack = Stack::behind_proxies(&["--ack-wait-seconds", "5"]);
    let worker = Worker::start(&stack, "paint", "hand");
    stack.nats_proxy().freeze(true);
    declared_dead(&worker).await;
    stack.nats_proxy().freeze(false);
    recovers(&stack, &worker).await;
}

/// A server that does not run, and whose sockets are open.
async fn stopped() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "5"]);
    let worker = Worker::start(&stack, "paint", "hand");
    stack.nats().process().signal("STOP");
    declared_dead(&worker).await;
    stack.nats().process().signal("CONT");
    recovers(&stack, &worker).await;
}

async fn declared_dead(worker: &Worker) {
    let frozen = Instant::now();
    worker.pages.unready("no connection").await;
    assert!(frozen.elapsed() <= DECLARED_DEAD, "seen after {:?}", frozen.elapsed());
    worker.process.says("lost the connection to NATS", PATIENCE);
}

/// A job is done once, by the same process, soon.
async fn recovers(stack: &Stack, worker: &Worker) {
    let (client, job) = (stack.client().await, Job::new("after"));
    client.publish(&job, "text", painting(&job, 2)).await;
    let back = Instant::now();
    client.follow_to(&job.id, "started", "paint").await;
    assert!(back.elapsed() <= RECOVERY, "begun after {:?}", back.elapsed());
    client.follow(&job.id).await;
    assert_eq!(client.whole_story(&job.id).await.kinds(), ["accepted", "started", "picture", "done"]);
    worker.pages.ready().await;
    assert!(worker.process.is_running(), "{}", worker.process.log());
}
