//! Streams and consumers that are missing, wrong, taken away or full.

use std::fs;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use bytes::Bytes;

use shanshui_tests::{Job, PATIENCE, Stack, until};

use super::{Worker, connect, painting, small};
use crate::start::refuses;

/// A worker that cannot work any more says so and ends within this.
const NOTICED: Duration = Duration::from_secs(15);
/// A client is told within this that its job is not accepted.
const REFUSED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn r08_a_deleted_consumer_ends_an_idle_worker_which_names_it() {
    let stack = Stack::start();
    let worker = Worker::start(&stack, "paint", "idle");
    connect(&stack).await.delete_consumer_from_stream("paint", "TEXT").await.expect("a consumer to delete");
    ends_and_names(&worker, "consumer paint on TEXT is missing");
}

#[tokio::test]
async fn r08_a_deleted_consumer_ends_a_busy_worker_after_its_job() {
    let stack = Stack::start();
    let (client, worker) = (stack.client().await, Worker::start(&stack, "paint", "busy"));
    let job = Job::new("busy");
    client.publish(&job, "text", painting(&job, 150)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    connect(&stack).await.delete_consumer_from_stream("paint", "TEXT").await.expect("a consumer to delete");
    assert_eq!(client.follow(&job.id).await.finals(), ["done"]);
    ends_and_names(&worker, "consumer paint on TEXT is missing");
    worker.process.says("job settled", PATIENCE);
}

#[tokio::test]
async fn r08_a_deleted_stream_ends_a_worker_which_names_it() {
    let stack = Stack::start();
    let worker = Worker::start(&stack, "paint", "idle");
    connect(&stack).await.delete_stream("TEXT").await.expect("a stream to delete");
    ends_and_names(&worker, "stream TEXT is missing");
}

fn ends_and_names(worker: &Worker, what: &str) {
    let exit = worker.process.ends(NOTICED);
    assert!(!exit.success() && exit.code().is_some(), "{exit}");
    assert!(worker.process.log().contains(what), "{what:?} is not named:\n{}", worker.process.log());
}

#[test]
fn r09_a_worker_without_its_streams_names_what_is_missing() {
    let mut stack = Stack::start();
    stack.stop_nats();
    fs::remove_dir_all(stack.folder().join("nats/jetstream")).expect("the folder of the streams");
    stack.start_nats();
    refuses(small(&stack, "paint", "hand"), &["AUDIO", "shanshui streams apply"]);
    let check = stack.run(&["streams", "check"]);
    assert_eq!(check.status.code(), Some(1), "{}", String::from_utf8_lossy(&check.stderr));
}

#[tokio::test]
async fn r09_a_worker_on_wrong_streams_names_the_field() {
    let stack = Stack::start();
    let queue = connect(&stack).await;
    for (field, change) in wrong() {
        let stream = queue.get_stream("TEXT").await.expect("a stream");
        let mut config = stream.cached_info().config.clone();
        change(&mut config);
        queue.delete_stream("TEXT").await.expect("a stream to delete");
        queue.create_stream(config).await.expect("a wrong stream");
        refuses(small(&stack, "paint", "hand"), &["stream TEXT", field, "shanshui streams apply"]);
        queue.delete_stream("TEXT").await.expect("a stream to delete");
        let applied = stack.run(&["streams", "apply"]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
    queue.delete_consumer_from_stream("paint", "TEXT").await.expect("a consumer to delete");
    refuses(small(&stack, "paint", "hand"), &["consumer paint on TEXT is missing", "shanshui streams apply"]);
}

#[tokio::test]
async fn r09_a_stream_that_is_made_wrong_under_a_running_worker_is_named_until_it_is_right() {
    let stack = Stack::start();
    let (worker, queue) = (Worker::start(&stack, "paint", "hand"), connect(&stack).await);
    let stream = queue.get_stream("TEXT").await.expect("a stream");
    let right = stream.cached_info().config.clone();
    let wrong = Config { discard: DiscardPolicy::Old, ..right.clone() };
    let began = Instant::now();
    queue.update_stream(wrong).await.expect("a stream to change");
    worker.pages.unready("stream TEXT: discard").await;
    assert!(began.elapsed() <= NOTICED, "named after {:?}", began.elapsed());
    worker.process.says("stream TEXT: discard", PATIENCE);
    queue.update_stream(right).await.expect("a stream to change");
    worker.pages.ready().await;
    queue.delete_stream("DEAD").await.expect("a stream to delete");
    worker.pages.unready("stream DEAD is missing").await;
    assert!(worker.process.is_running(), "{}", worker.process.log());
}

/// The fields that no worker can work without, and how each is made wrong.
/// Makes one field of a stream wrong.
type Spoil = fn(&mut Config);

fn wrong() -> [(&'static str, Spoil); 3] {
    [
        ("retention", |config| config.retention = RetentionPolicy::Limits),
        ("discard", |config| config.discard = DiscardPolicy::Old),
        ("subjects", |config| {
            config.subjects = vec!["elsewhere.*".into()];
            config.subject_transform = None;
        }),
    ]
}

#[tokio::test]
async fn r28_a_full_stream_refuses_new_jobs_and_keeps_the_oldest() {
    let stack = Stack::start_with(&["--queue-bytes", "1048576"]);
    let (client, queue) = (stack.client().await, connect(&stack).await);
    let (oldest, late) = (Job::new("oldest"), Job::new("late"));
    client.publish(&oldest, "text", painting(&oldest, 2)).await;
    fill(&queue, "shanshui.text.default").await;
    let began = Instant::now();
    let refused = stack.run(&["draw", "a boat", "--id", &late.id, "--no-wait"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(began.elapsed() <= REFUSED, "refused after {:?}", began.elapsed());
    assert_eq!(refused.status.code(), Some(6), "{said}");
    assert!(said.contains("shanshui.text.default") && said.contains("maximum bytes exceeded"), "{said}");
    let text = queue.get_stream("TEXT").await.expect("a stream");
    assert_eq!(text.get_raw_message(1).await.expect("the oldest job").payload, Bytes::from(painting(&oldest, 2)));
    // Room comes with work.
    let _worker = Worker::start(&stack, "paint", "hand");
    assert_eq!(client.follow(&oldest.id).await.finals(), ["done"]);
    until("an empty queue", async || (client.waiting("TEXT", "paint").await == 0).then_some(())).await;
    let job = Job::new("room");
    assert_eq!(client.publish_and_follow(&job, "text", painting(&job, 2)).await.finals(), ["done"]);
    assert!(client.keys(&format!("jobs/{}/", late.id)).await.is_empty());
}

#[tokio::test]
async fn r28_a_full_next_queue_is_named_by_the_worker_before_it_and_waited_out() {
    let stack = Stack::start_with(&["--queue-bytes", "1048576", "--ack-wait-seconds", "2"]);
    let (client, queue) = (stack.client().await, connect(&stack).await);
    let ear = Worker::start(&stack, "transcribe", "ear");
    fill(&queue, "shanshui.text.default").await;
    let job = Job::new("spoken");
    client.publish(&job, "audio", shanshui_tests::recording("cat.wav")).await;
    ear.pages.unready("maximum bytes exceeded").await;
    ear.process.says("maximum bytes exceeded", PATIENCE);
    let _hand = Worker::start(&stack, "paint", "hand");
    assert_eq!(client.follow(&job.id).await.finals(), ["done"]);
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "transcript", "started", "picture", "picture", "done"]);
    ear.pages.ready().await;
}

/// Publishes what is no job, as long as anything fits.
async fn fill(queue: &jetstream::Context, subject: &'static str) {
    for size in [200_000, 10_000, 500, 1] {
        let payload = Bytes::from("{".repeat(size));
        while queue.publish(subject, payload.clone()).await.expect("an allowed size").await.is_ok() {}
    }
}
