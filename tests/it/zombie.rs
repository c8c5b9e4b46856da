//! Workers that come back late, and jobs that no worker survives.

use std::time::Duration;

use serde_json::{Value, json};
use shanshui_tests::{Job, PATIENCE, Pages, Process, Stack, ends_well, sha256, until};

#[tokio::test]
async fn r14_a_worker_that_wakes_up_after_its_job_was_done_changes_nothing() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let client = stack.client().await;
    let job = Job::new("outlived");
    let payload = json!({ "id": job.id, "text": "a river", "picture": { "steps": 60, "count": 1 } });
    let first = stack.worker("paint", "first");
    client.publish(&job, "text", payload.to_string()).await;
    client.follow_to(&job.id, "progress", "paint").await;
    first.signal("STOP");
    let second = stack.worker("paint", "second");
    client.follow(&job.id).await;
    let key = format!("jobs/{}/0.png", job.id);
    let before = (sha256(&client.object(&key).await), modified(&stack, &key));
    first.signal("CONT");
    first.says("job settled", PATIENCE);
    let story = client.whole_story(&job.id).await;
    assert_eq!(story.finals(), ["done"], "{:#?}", story.told());
    assert_eq!(story.all("picture").len(), 1, "{:#?}", story.told());
    assert_eq!((sha256(&client.object(&key).await), modified(&stack, &key)), before);
    for worker in [first, second] {
        worker.signal("TERM");
        ends_well(&worker);
    }
}

fn modified(stack: &Stack, key: &str) -> std::time::SystemTime {
    let file = stack.objects().file(key);
    file.metadata().and_then(|data| data.modified()).expect("a file behind the object")
}

#[tokio::test]
async fn r15_a_job_that_no_worker_survives_is_buried_and_the_audit_agrees() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let client = stack.client().await;
    let (poison, good) = (Job::new("deadly"), Job::new("harmless"));
    let text = |job: &Job, steps: u32| {
        json!({ "id": job.id, "text": "a river", "picture": { "steps": steps, "count": 1 } }).to_string()
    };
    client.publish(&poison, "text", text(&poison, 150)).await;
    for attempts in 1..=2 {
        let victim = impatient(&stack, "victim");
        client.read(&poison.id, |story| story.all("started").len() == attempts).await;
        // As an abort or the kernel's out-of-memory killer ends it.
        victim.signal("KILL");
        victim.ends(PATIENCE);
    }
    let _undertaker = impatient(&stack, "undertaker");
    client.publish(&good, "text", text(&good, 4)).await;
    client.follow(&poison.id).await;
    client.follow(&good.id).await;
    let dead = client.dead(&poison.id).await.expect("a letter in DEAD");
    assert!(dead.reason.contains("died or lost its lease 2 times"), "{}", dead.reason);
    assert_eq!(client.whole_story(&poison.id).await.finals(), ["failed"]);
    assert_eq!(client.whole_story(&good.id).await.finals(), ["done"]);
    until("an empty queue", async || (client.untaken("TEXT", "paint").await == 0).then_some(())).await;
    let audit = stack.run(&["audit", "--objects", "--json"]);
    let mut report: Value = serde_json::from_slice(&audit.stdout).expect("one JSON object");
    let pools = report.as_object_mut().and_then(|report| report.remove("pools")).expect("the pools");
    assert_eq!(pools.as_array().map(Vec::len), Some(2), "{pools}");
    let expected = json!({ "accepted": 2, "ended": { "done": 1, "failed": 1 }, "in_flight": 0, "discrepancies": [] });
    assert_eq!((report, audit.status.code()), (expected, Some(0)));
}

fn impatient(stack: &Stack, name: &str) -> Process {
    Process::spawn(name, stack.worker_command("paint", name).args(["--attempts", "2"]))
}

#[tokio::test]
async fn r18_reconcile_reports_the_count_of_all_jobs_and_names_a_lost_one_within_a_minute() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2"]);
    let client = stack.client().await;
    let job = Job::new("stolen");
    let worker = stack.worker("paint", "thief");
    let payload = json!({ "id": job.id, "text": "a river", "picture": { "steps": 60, "count": 1 } });
    let place = client.publish(&job, "text", payload.to_string()).await;
    client.follow_to(&job.id, "started", "paint").await;
    worker.signal("KILL");
    worker.ends(PATIENCE);
    client.delete("TEXT", place).await;
    let pages = Pages::reserve();
    let mut command = stack.command(&["reconcile", "--audit-seconds", "1", "--log", "info", "--http", pages.address()]);
    let reconcile = Process::spawn("reconcile", &mut command);
    let line = reconcile.says("the state of a job is inconsistent", Duration::from_secs(60));
    assert!(line.contains(&job.id) && line.contains("no final event, and no queue holds it"), "{line}");
    let doubts = || pages.metric("shanshui_audit_jobs{standing=\"in-doubt\"}");
    until("a gauge that shows it", async || (doubts() == 1.0).then_some(())).await;
    let audit = stack.run(&["audit"]);
    let said = String::from_utf8_lossy(&audit.stdout);
    assert!(said.contains(&format!("{}: no final event", job.id)), "{said}");
    assert_eq!(audit.status.code(), Some(1));
    reconcile.signal("TERM");
    ends_well(&reconcile);
}
