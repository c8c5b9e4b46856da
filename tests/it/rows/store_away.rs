//! S3 that is away, in trouble, slow, silent, or closed to us.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use shanshui_tests::{BUCKET, Client, Job, PATIENCE, Stack, Story, recording, sha256};

use super::{Worker, lasting, painting, small};

/// Work goes on this long after the store is back.
const RESUMED: Duration = Duration::from_secs(30);
/// Attempts of one request.
const ATTEMPTS: usize = 5;

#[tokio::test]
async fn r21_a_store_that_is_away_costs_no_job_and_no_attempt() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let (client, worker) = (stack.client().await, Worker::start(&stack, "paint", "hand"));
    let jobs = [0; 3].map(|_| Job::new("waits"));
    for job in &jobs {
        client.publish(job, "text", lasting(job)).await;
    }
    client.follow_to(&jobs[0].id, "progress", "paint").await;
    stack.objects().faults().stop();
    client.read(&jobs[0].id, |story| !story.all("released").is_empty()).await;
    worker.pages.unready("store: ").await;
    // Jobs that would meet the same outage stay in the queue, untouched.
    assert_eq!(client.untaken("TEXT", "paint").await, 2);
    stack.objects().faults().start();
    let back = Instant::now();
    client.read(&jobs[0].id, |story| story.all("started").len() == 2).await;
    assert!(back.elapsed() <= RESUMED, "begun again after {:?}", back.elapsed());
    for job in &jobs {
        done_uncounted(&client, job).await;
    }
    worker.pages.ready().await;
}

/// A job is done once, and every attempt before the last was handed back and did not count.
async fn done_uncounted(client: &Client<'_>, job: &Job) -> Story {
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.finals(), ["done"], "{:#?}", story.told());
    assert_eq!(story.all("picture").len(), 1, "{:#?}", story.told());
    assert!(story.all("started").iter().all(|start| start["attempt"] == 1), "{:#?}", story.told());
    let stages: BTreeSet<_> = story.all("started").iter().map(|start| start["stage"].to_string()).collect();
    assert_eq!(story.all("started").len(), story.all("released").len() + stages.len(), "{:#?}", story.told());
    assert!(client.dead(&job.id).await.is_none());
    story
}

#[tokio::test]
async fn r22_a_store_that_fails_three_of_ten_requests_is_asked_again_at_most_five_times() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let workers = ["transcribe", "paint"].map(|stage| Worker::start(&stack, stage, stage));
    let client = stack.client().await;
    client.put("audio/cat.wav", recording("cat.wav")).await;
    let faults = stack.objects().faults();
    faults.fail(0.3, &[500, 503, 429], 22);
    let jobs: Vec<_> = (0..6).map(|_| Job::new("trouble")).collect();
    for (n, job) in jobs.iter().enumerate() {
        if n % 3 == 0 {
            let picture = json!({ "width": 64, "height": 64, "steps": 2, "count": 1 });
            let payload = json!({ "id": job.id, "audio": { "key": "audio/cat.wav" }, "picture": picture });
            client.publish(job, "audio", payload.to_string()).await;
        } else {
            client.publish(job, "text", painting(job, 2)).await;
        }
    }
    for job in &jobs {
        client.follow(&job.id).await;
    }
    faults.fail(0.0, &[500], 0);
    assert!(faults.made().failed > 0, "nothing failed");
    for job in &jobs {
        let story = client.whole_story(&job.id).await;
        assert_eq!(story.finals(), ["done"], "{:#?}", story.told());
        let (begun, puts) = (story.all("started").len(), faults.seen("PUT", &format!("jobs/{}/0.png", job.id)));
        assert!(puts as usize <= ATTEMPTS * begun, "{puts} PUTs in {begun} attempts");
    }
    drop(workers);
}

#[tokio::test]
async fn r23_a_store_that_stalls_is_given_up_in_time_while_the_lease_is_kept() {
    given_up(|stack, held| stack.objects().faults().stall(held)).await;
}

#[tokio::test]
async fn r23_a_store_of_one_kibibyte_a_second_is_given_up_in_time_while_the_lease_is_kept() {
    given_up(|stack, held| stack.s3_proxy().slow(held.then_some(1024))).await;
}

/// Two workers and one job whose picture cannot be stored in time: nobody else gets the job
/// while one holds it, for far longer than the ack wait.
async fn given_up(hold: impl Fn(&Stack, bool)) {
    let stack = Stack::behind_proxies(&["--ack-wait-seconds", "2"]);
    let workers = ["hand-1", "hand-2"].map(|name| {
        let mut command = small(&stack, "paint", name);
        command.env("SHANSHUI_S3_ATTEMPT_SECONDS", "3").env("SHANSHUI_S3_OPERATION_SECONDS", "5");
        Worker::spawn(name, command)
    });
    workers.iter().for_each(|worker| drop(worker.process.says("taking jobs", PATIENCE)));
    let (client, job) = (stack.client().await, Job::new("held"));
    client.publish(&job, "text", lasting(&job)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    hold(&stack, true);
    let held = client.read(&job.id, |story| !story.all("released").is_empty()).await;
    assert_eq!(held.kinds(), ["accepted", "started", "released"]);
    let reason = held.one("released")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains(&format!("{BUCKET}/jobs/{}/0.png", job.id)), "{reason}");
    hold(&stack, false);
    done_uncounted(&client, &job).await;
}

#[tokio::test]
async fn r24_a_put_whose_answer_is_lost_is_taken_for_what_it_was() {
    let stack = Stack::start();
    let _worker = Worker::start(&stack, "paint", "hand");
    let (client, job) = (stack.client().await, Job::new("unheard"));
    stack.objects().faults().lose_puts(1);
    let story = client.publish_and_follow(&job, "text", painting(&job, 2)).await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "done"]);
    let key = format!("jobs/{}/0.png", job.id);
    assert_eq!(story.one("picture")["sha256"], sha256(&client.object(&key).await));
    let faults = stack.objects().faults();
    assert_eq!((faults.made().lost, faults.seen("PUT", &key)), (1, 2));
}

#[tokio::test]
async fn r25_a_store_that_lets_nobody_in_any_more_is_named_and_no_job_is_buried() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let (client, worker) = (stack.client().await, Worker::start(&stack, "paint", "hand"));
    stack.objects().faults().fail(1.0, &[403], 0);
    let job = Job::new("refused");
    client.publish(&job, "text", painting(&job, 2)).await;
    let story = client.read(&job.id, |story| !story.all("released").is_empty()).await;
    assert!(story.one("released")["reason"].as_str().is_some_and(|reason| reason.contains("403")), "{story:?}");
    let why = worker.pages.unready("store: ").await;
    assert!(why.contains("refuses these credentials"), "{why}");
    worker.process.says("403", PATIENCE);
    stack.objects().faults().fail(0.0, &[403], 0);
    done_uncounted(&client, &job).await;
    worker.pages.ready().await;
}

#[tokio::test]
async fn r25_a_store_that_refuses_only_writes_or_only_reads_is_named_and_jobs_wait() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let (client, worker) = (stack.client().await, Worker::start(&stack, "transcribe", "ear"));
    let _painter = Worker::start(&stack, "paint", "hand");
    client.put("audio/cat.wav", recording("cat.wav")).await;
    for method in ["GET", "PUT"] {
        stack.objects().faults().refuse(Some(method));
        let jobs = [0; 2].map(|_| Job::new("shut-out"));
        for job in &jobs {
            let picture = json!({ "width": 64, "height": 64, "steps": 2, "count": 1 });
            let payload = json!({ "id": job.id, "audio": { "key": "audio/cat.wav" }, "picture": picture });
            client.publish(job, "audio", payload.to_string()).await;
        }
        client.read(&jobs[0].id, |story| !story.all("released").is_empty()).await;
        let why = worker.pages.unready("store: ").await;
        assert!(why.contains("refuses these credentials"), "{why}");
        assert_eq!(client.untaken("AUDIO", "transcribe").await, 1, "the other job waits for the store");
        stack.objects().faults().refuse(None);
        for job in &jobs {
            done_uncounted(&client, job).await;
        }
        worker.pages.ready().await;
    }
}

#[tokio::test]
async fn r26_on_a_store_that_overwrites_a_worker_that_wakes_up_too_late_changes_nothing() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    stack.objects().faults().overwrite(true);
    let (client, first, job) = (stack.client().await, Worker::start(&stack, "paint", "first"), Job::new("late"));
    first.process.says("ignores If-None-Match", PATIENCE);
    client.publish(&job, "text", lasting(&job)).await;
    client.follow_to(&job.id, "progress", "paint").await;
    first.process.signal("STOP");
    let _second = Worker::start(&stack, "paint", "second");
    client.follow(&job.id).await;
    let key = format!("jobs/{}/0.png", job.id);
    let picture = async || {
        let file = stack.objects().file(&key).metadata().expect("a file behind the object");
        (client.object(&key).await, file.modified().expect("a time"))
    };
    let before = picture().await;
    first.process.signal("CONT");
    first.process.says("job settled", PATIENCE);
    assert_eq!(picture().await, before);
    let story = client.whole_story(&job.id).await;
    assert_eq!((story.finals(), story.all("picture").len()), (vec!["done"], 1), "{:#?}", story.told());
}
