//! Several workers on one queue.

use std::collections::BTreeSet;

use serde_json::{Value, json};

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

/// A FIFO worker would have painted the long one first, and there would be nothing left to cancel.
#[tokio::test]
async fn a_job_joins_another_one_at_its_next_step_and_its_picture_does_not_show_it() {
    let stack = Stack::start();
    let mut command = stack.worker_command("paint", "hand");
    let _worker = Process::spawn("hand", command.env("SHANSHUI_BATCH_JOBS", "yes"));
    let client = stack.client().await;
    let publish = async |name: &str, picture: Value| {
        let job = Job::new(name);
        let mut payload = json!({ "id": job.id, "text": "a boat on a lake", "picture": picture });
        (payload["picture"]["width"], payload["picture"]["height"]) = (256.into(), 256.into());
        payload["picture"]["count"] = 1.into();
        client.publish(&job, "text", payload.to_string()).await;
        job
    };
    let long = publish("long", json!({ "steps": 150 })).await;
    client.follow_to(&long.id, "progress", "paint").await;
    let quick = json!({ "steps": 4, "seed": 7, "sampler": "euler-a" });
    let (joins, bad) = (publish("joins", quick.clone()).await, publish("bad", json!({ "steps": 9999 })).await);
    let sums = async |job: &Job| {
        let story = client.follow(&job.id).await;
        story.all("picture").iter().map(|data| data["sha256"].to_string()).collect::<Vec<_>>()
    };
    let together = sums(&joins).await;
    assert_eq!(client.follow(&bad.id).await.finals(), ["failed"]);
    client.cancel(&long.id).await;
    assert_eq!(client.follow(&long.id).await.finals(), ["canceled"]);
    let alone = sums(&publish("alone", quick).await).await;
    assert_eq!((together.len(), together), (1, alone));
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
