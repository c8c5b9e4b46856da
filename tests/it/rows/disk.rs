//! A full disk below the queue.

use std::process::Output;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use bytes::Bytes;

use shanshui_tests::{Job, PATIENCE, Stack};

use super::{Worker, connect, lasting, painting};

/// Size of the disk in MiB.
const DISK: u32 = 24;
/// Both queues together leave most of the disk to everything else.
const SETTINGS: [&str; 4] = ["--queue-bytes", "2097152", "--ack-wait-seconds", "5"];
/// A client is told within this that its job is not accepted.
const REFUSED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn r27_a_disk_that_the_server_knows_to_be_full_refuses_jobs_and_loses_none() {
    let stack = Stack::on_disk(DISK, None, &SETTINGS);
    let (worker, jobs) = busy(&stack).await;
    let queue = connect(&stack).await;
    fill(&queue).await;
    refused(&stack);
    let why = worker.pages.unready("settling: ").await;
    assert!(why.contains("insufficient resources"), "{why}");
    worker.process.says("insufficient resources", PATIENCE);
    queue.delete_stream("BALLAST").await.expect("a stream to delete");
    all_done(&stack, &jobs).await;
    worker.pages.ready().await;
    accepted(&stack).await;
}

#[tokio::test]
async fn r27_a_disk_that_is_full_unknown_to_the_server_refuses_jobs_and_loses_none() {
    let mut stack = Stack::on_disk(DISK, Some("1GB"), &SETTINGS);
    let (worker, mut jobs) = busy(&stack).await;
    stack.disk().fill();
    jobs.extend(last_accepted(&stack).await);
    refused(&stack);
    worker.pages.unready("settling: ").await;
    worker.process.says("cannot", PATIENCE);
    stack.disk().relieve();
    // After a failed write the server keeps a stream closed until it is started anew.
    stack.stop_nats();
    stack.start_nats();
    all_done(&stack, &jobs).await;
    worker.pages.ready().await;
    accepted(&stack).await;
}

/// A worker at its first of three jobs.
async fn busy(stack: &Stack) -> (Worker, Vec<Job>) {
    let (client, worker) = (stack.client().await, Worker::start(stack, "paint", "hand"));
    let jobs = Vec::from([0; 3].map(|_| Job::new("accepted")));
    for job in &jobs {
        client.publish(job, "text", lasting(job)).await;
    }
    client.follow_to(&jobs[0].id, "progress", "paint").await;
    (worker, jobs)
}

/// What still fits into pages of the disk that are taken already: accepted as any other job.
async fn last_accepted(stack: &Stack) -> Vec<Job> {
    let (queue, mut jobs) = (connect(stack).await, Vec::new());
    loop {
        let job = Job::new("last");
        let sent = queue.publish("shanshui.text.default", painting(&job, 2).into()).await.expect("an allowed size");
        if sent.await.is_err() {
            return jobs;
        }
        jobs.push(job);
    }
}

/// Another stream on the same server takes all that is left.
async fn fill(queue: &jetstream::Context) {
    let config = Config { name: "BALLAST".into(), subjects: vec!["ballast".into()], ..Config::default() };
    queue.create_stream(config).await.expect("a stream of its own");
    for size in [500_000, 5_000, 50] {
        let payload = Bytes::from(vec![b'x'; size]);
        while queue.publish("ballast", payload.clone()).await.expect("an allowed size").await.is_ok() {}
    }
}

fn draw(stack: &Stack) -> Output {
    stack.run(&["draw", "a boat", "--width", "64", "--height", "64", "--steps", "2", "--count", "1", "--no-wait"])
}

/// A client that submits is told soon, and by its exit code, that its job is not accepted.
fn refused(stack: &Stack) {
    let began = Instant::now();
    let output = draw(stack);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(began.elapsed() <= REFUSED, "refused after {:?}: {said}", began.elapsed());
    assert!(said.contains("is not accepted"), "{said}");
}

async fn all_done(stack: &Stack, jobs: &[Job]) {
    let client = stack.client().await;
    for job in jobs {
        client.follow(&job.id).await;
        let story = client.whole_story(&job.id).await;
        assert_eq!((story.finals(), story.all("picture").len()), (vec!["done"], 1), "{:#?}", story.told());
    }
}

/// There is room again.
async fn accepted(stack: &Stack) {
    let output = draw(stack);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let job = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(stack.client().await.follow(&job).await.finals(), ["done"]);
}
