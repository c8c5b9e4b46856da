//! Workers that die without a word.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use shanshui_tests::{Job, Process, Stack, root, scratch, until};

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

#[tokio::test]
async fn a_word_after_the_end_does_not_begin_a_job_again() {
    let stack = Stack::start();
    let client = stack.client().await;
    let job = Job::new("ended");
    let queue = async_nats::jetstream::new(async_nats::connect(stack.url()).await.unwrap());
    let payload = json!({ "id": job.id, "text": "a river", "picture": { "count": 1 } }).to_string();
    let _worker = stack.worker("paint", "hand");
    let story = client.publish_and_follow(&job, "text", payload.clone()).await;
    let kinds: Vec<String> = story.kinds().into_iter().map(str::to_owned).collect();
    // As a worker tells it that was frozen while another one did its job.
    let data = json!({ "kind": "started", "stage": "paint", "worker": "frozen", "attempt": 1 });
    let event = json!({ "specversion": "1.0", "id": "late", "source": "/shanshui/paint/frozen", "subject": job.id,
        "type": "shanshui.job.started.v1", "time": "2026-01-01T00:00:00Z", "data": data });
    let sent = queue.publish(format!("shanshui.events.{}.started", job.id), event.to_string().into()).await;
    sent.unwrap().await.unwrap();
    client.publish(&job, "text", payload).await;
    let story = client.whole_story(&job.id).await;
    let all: Vec<_> = kinds.iter().map(String::as_str).chain(["started"]).collect();
    assert_eq!(story.kinds(), all, "{:#?}", story.told());
}

#[tokio::test]
async fn a_killed_workers_ffmpeg_ends_with_it() {
    let stack = Stack::start();
    let client = stack.client().await;
    let folder = scratch();
    let sleeper = folder.path().join("sleeper");
    std::fs::write(&sleeper, "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&sleeper, Permissions::from_mode(0o755)).unwrap();
    let mut command = stack.worker_command("transcribe", "deaf");
    let worker = Process::spawn("deaf", command.args(["--ffmpeg", sleeper.to_str().unwrap()]));
    let spoken = root().join("tests/data/recordings/voice.amr");
    client.publish(&Job::new("amr").typed("audio/amr"), "audio", std::fs::read(spoken).unwrap()).await;
    until("ffmpeg starts", async || (children_of(worker.pid()).len() == 1).then_some(())).await;
    let ffmpeg = children_of(worker.pid())[0];
    // Dropping kills with SIGKILL.
    drop(worker);
    until("ffmpeg ends", async || (!is_alive(ffmpeg)).then_some(())).await;
}

fn children_of(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|all| all.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>()).collect()
}

/// A process that has ended and was not asked how is dead all the same.
fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}
