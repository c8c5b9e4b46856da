//! Workers whose clock is wrong.

use std::process::Command;

use shanshui_tests::{Job, PATIENCE, Stack, faketime};

use super::{Worker, lasting, painting, small};

/// A second of the day, of 86,400.
type Second = i64;

#[tokio::test]
async fn r31_a_worker_whose_clock_is_an_hour_off_works_as_any_other() {
    let stack = Stack::start();
    let client = stack.client().await;
    for (shift, skew) in [("+1h", 3600), ("-1h", -3600)] {
        let mut command = small(&stack, "paint", "skewed");
        faked(&mut command).env("FAKETIME", shift);
        let worker = Worker::spawn("skewed", command);
        let line = worker.process.says("taking jobs", PATIENCE);
        let job = Job::new("skewed");
        let story = client.publish_and_follow(&job, "text", painting(&job, 2)).await;
        assert_eq!(story.kinds(), ["accepted", "started", "picture", "done"], "{shift}: {:#?}", story.told());
        let ahead = ahead(second(&line), now());
        assert!((ahead - skew).abs() < 300, "the clock was {ahead} s ahead, not {skew}");
    }
}

#[tokio::test]
async fn r31_a_clock_that_jumps_during_a_job_neither_expires_it_nor_loses_its_lease() {
    for (shift, skew) in [("+1h", 3600), ("-1h", -3600)] {
        let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
        turn(&stack, "+0");
        let mut command = small(&stack, "paint", "jumping");
        // The shift of the clock is read from a file, once a second.
        let clock = stack.folder().join("clock");
        faked(&mut command).env("FAKETIME_TIMESTAMP_FILE", clock).env("FAKETIME_CACHE_DURATION", "1");
        let worker = Worker::spawn("jumping", command);
        let before = second(&worker.process.says("taking jobs", PATIENCE));
        let (client, job) = (stack.client().await, Job::new("jump"));
        // It must last longer than the second in which a new clock is seen.
        client.publish(&job, "text", lasting(&job)).await;
        client.follow_to(&job.id, "progress", "paint").await;
        turn(&stack, shift);
        client.follow(&job.id).await;
        let story = client.whole_story(&job.id).await;
        assert_eq!(story.kinds(), ["accepted", "started", "picture", "done"], "{shift}: {:#?}", story.told());
        let jumped = ahead(second(&worker.process.says("job settled", PATIENCE)), before);
        assert!((jumped - skew).abs() < 300, "the clock jumped by {jumped} s, not {skew}");
        worker.pages.ready().await;
    }
}

/// Has a program see another time of day; time that passes stays what it is.
fn faked(command: &mut Command) -> &mut Command {
    command.env("LD_PRELOAD", faketime()).env("DONT_FAKE_MONOTONIC", "1")
}

fn turn(stack: &Stack, shift: &str) {
    std::fs::write(stack.folder().join("clock"), shift).expect("a file");
}

/// The time at the start of a line, as `2027-01-01T12:34:56.7Z`.
fn second(line: &str) -> Second {
    let time = line.split('T').nth(1).unwrap_or_else(|| panic!("no time in {line:?}"));
    let mut parts = time.splitn(3, ':').map(|part| part[..2].parse::<Second>().expect("two digits"));
    let mut next = || parts.next().expect("hours, minutes and seconds");
    next() * 3600 + next() * 60 + next()
}

fn now() -> Second {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
    Second::try_from(since.as_secs() % 86_400).expect("a day")
}

/// How far one time of day is ahead of another, midnight or not.
fn ahead(one: Second, other: Second) -> Second {
    (one - other + 43_200).rem_euclid(86_400) - 43_200
}
