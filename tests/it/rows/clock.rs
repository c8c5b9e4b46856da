//! Workers whose clock is wrong.

use std::process::Command;

use shanshui_tests::{Job, PATIENCE, Process, Stack, faketime};

use super::{Worker, painting, small};

#[test]
fn r31_a_worker_whose_clock_is_an_hour_off_is_told_so_and_does_not_start() {
    let stack = Stack::start();
    for shift in ["+1h", "-1h"] {
        let mut command = small(&stack, "paint", "skewed");
        command.env("LD_PRELOAD", faketime()).env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME", shift);
        let worker = Process::spawn("skewed", &mut command);
        assert_eq!(worker.ends(PATIENCE).code(), Some(1), "{}", worker.log());
        assert!(worker.log().contains("clock") && worker.log().contains("RequestTimeTooSkewed"), "{}", worker.log());
    }
}

#[tokio::test]
async fn r31_a_clock_that_jumps_during_a_job_neither_expires_it_nor_loses_its_lease() {
    for shift in ["+1h", "-1h"] {
        let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
        let mut command = small(&stack, "paint", "jumping");
        turn(&stack, "+0");
        turned_by_file(&stack, &mut command);
        let worker = Worker::spawn("jumping", command);
        worker.process.says("taking jobs", PATIENCE);
        let (client, job) = (stack.client().await, Job::new("jump"));
        client.publish(&job, "text", painting(&job, 150)).await;
        client.follow_to(&job.id, "progress", "paint").await;
        turn(&stack, shift);
        let story = client.read(&job.id, |story| story.is_over() || !story.all("released").is_empty()).await;
        assert_eq!(story.kinds(), ["accepted", "started", "released"], "{shift}: {:#?}", story.told());
        let reason = story.one("released")["reason"].as_str().expect("a reason");
        assert!(reason.contains("RequestTimeTooSkewed"), "{shift}: {reason}");
        assert!(worker.pages.unready("store: ").await.contains("clock"), "{}", worker.process.log());
        turn(&stack, "+0");
        client.follow(&job.id).await;
        let story = client.whole_story(&job.id).await;
        assert_eq!(story.finals(), ["done"], "{shift}: {:#?}", story.told());
        assert!(story.all("started").iter().all(|start| start["attempt"] == 1), "{shift}: {:#?}", story.told());
        worker.pages.ready().await;
    }
}

/// Has a program read the shift of its clock from a file, once a second.
fn turned_by_file(stack: &Stack, command: &mut Command) {
    command.env("LD_PRELOAD", faketime()).env("DONT_FAKE_MONOTONIC", "1");
    command.env("FAKETIME_TIMESTAMP_FILE", stack.folder().join("clock")).env("FAKETIME_CACHE_DURATION", "1");
}

fn turn(stack: &Stack, shift: &str) {
    std::fs::write(stack.folder().join("clock"), shift).expect("a file");
}
