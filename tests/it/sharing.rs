//! Several workers on one queue.

use std::collections::BTreeSet;

use serde_json::json;

use shanshui_tests::{Client, Job, PATIENCE, Process, Stack, recording, whisper};

#[tokio::test]
async fn two_workers_a_stage_share_the_queues_and_each_job_is_done_once() {
    let stack = Stack::start();
    let _workers = [("transcribe", "ear-1"), ("transcribe", "ear-2"), ("paint", "hand-1"), ("paint", "hand-2")]
        .map(|(stage, name)| ready(&stack, stage, name));
    let client = stack.client().await;
    let jobs: Vec<Job> = (0..6).map(|_| Job::new("shared")).collect();
    for job in &jobs {
        client.put(&format!("audio/{}", job.id), recording("cat.wav")).await;
        let audio = json!({ "key": format!("audio/{}", job.id) });
        let payload = json!({ "id": job.id, "audio": audio, "picture": { "count": 1, "steps": 20 } });
        client.publish(job, "audio", payload.to_string()).await;
    }
    let mut workers = BTreeSet::new();
    for job in &jobs {
        workers.extend(workers_of(&client, job).await);
    }
    let all = ["ear-1", "ear-2", "hand-1", "hand-2"].map(str::to_owned);
    assert_eq!(workers, BTreeSet::from(all));
}

/// A worker that has said that it takes jobs.
fn ready(stack: &Stack, stage: &str, name: &str) -> Process {
    let mut command = stack.worker_command(stage, name);
    if stage == "transcribe" {
        command.env("SHANSHUI_WHISPER", whisper("tiny.en"));
    }
    let process = Process::spawn(name, &mut command);
    process.says("taking jobs", PATIENCE);
    process
}

async fn workers_of(client: &Client<'_>, job: &Job) -> Vec<String> {
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    let expected = ["accepted", "started", "transcript", "started", "picture", "done"];
    assert_eq!(story.kinds(), expected, "{:#?}", story.told());
    let started = story.all("started");
    started.iter().map(|data| data["worker"].as_str().expect("a name").to_owned()).collect()
}
