//! SIGTERM at every moment of a worker's life.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use shanshui_tests::hub::{Faults, Hub};
use shanshui_tests::{
    Job, PATIENCE, Process, Stack, clean, ends_well, picture_model, scratch, shanshui, until, whisper,
};

use super::{Worker, painting, small};
use crate::start::copy;

/// An idle worker ends within two seconds; a second more for a machine that is busy with other tests.
const IDLE: Duration = Duration::from_secs(3);
/// The largest file of a model in the hub.
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
/// A worker that loads its model ends within this.
const LOADING: Duration = Duration::from_secs(5);

#[tokio::test]
async fn r32_a_worker_told_to_end_finishes_its_job_and_takes_no_other() {
    let stack = Stack::start();
    let client = stack.client().await;
    let worker = Worker::start(&stack, "paint", "hand");
    let (running, waiting) = (Job::new("running"), Job::new("waiting"));
    client.publish(&running, "text", painting(&running, 150)).await;
    client.follow_to(&running.id, "progress", "paint").await;
    client.publish(&waiting, "text", painting(&waiting, 2)).await;
    worker.process.signal("TERM");
    ends_well(&worker.process);
    let story = client.follow(&running.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "done"]);
    assert_eq!(client.untaken("TEXT", "paint").await, 1);
    let _next = Worker::start(&stack, "paint", "next");
    assert_eq!(client.follow(&waiting.id).await.finals(), ["done"]);
    assert_eq!(client.whole_story(&waiting.id).await.all("started").len(), 1);
}

#[tokio::test]
async fn r32_a_worker_told_twice_hands_its_job_back_at_once_and_uncounted() {
    let stack = Stack::start();
    let client = stack.client().await;
    let worker = Worker::start(&stack, "paint", "hasty");
    let job = Job::new("handed-back");
    let picture = json!({ "width": 64, "height": 64, "steps": 150, "count": 4 });
    let payload = json!({ "id": job.id, "text": "a river", "picture": picture }).to_string();
    client.publish(&job, "text", payload).await;
    client.follow_to(&job.id, "progress", "paint").await;
    worker.process.signal("TERM");
    worker.process.says("draining", PATIENCE);
    worker.process.signal("TERM");
    ends_well(&worker.process);
    let _next = Worker::start(&stack, "paint", "next");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    let expected = ["accepted", "started", "released", "started", "picture", "picture", "picture", "picture", "done"];
    assert_eq!(story.kinds(), expected);
    assert_eq!(story.all("started")[1]["attempt"], 1, "an interrupted attempt does not count");
}

#[test]
fn r32_an_idle_worker_told_to_end_does_so_at_once() {
    let stack = Stack::start();
    for stage in ["transcribe", "paint"] {
        let worker = Worker::start(&stack, stage, "idle");
        let told = Instant::now();
        worker.process.signal("TERM");
        ends_well(&worker.process);
        assert!(told.elapsed() <= IDLE, "{stage}: {:?}", told.elapsed());
    }
}

#[tokio::test]
async fn r33_a_worker_told_to_end_while_its_model_loads_does_so() {
    let stack = Stack::start();
    // A pipe that nobody writes to: opening it takes for ever, as reading from a dead disk does.
    let (ear, hand) = (stack.folder().join("ear"), stack.folder().join("hand"));
    endless(&whisper("tiny.en"), &ear, "tokenizer.json");
    endless(&picture_model(), &hand, "scheduler/scheduler_config.json");
    for (stage, setting, folder) in [("transcribe", "SHANSHUI_WHISPER", ear), ("paint", "SHANSHUI_PICTURE_MODEL", hand)]
    {
        let mut command = small(&stack, stage, "loading");
        command.env(setting, folder);
        let worker = Worker::spawn("loading", command);
        loading(&worker).await;
        let told = Instant::now();
        worker.process.signal("TERM");
        ends_well(&worker.process);
        assert!(told.elapsed() <= LOADING, "{stage}: {:?}", told.elapsed());
    }
}

/// Waits until only the model is missing.
async fn loading(worker: &Worker) {
    let only_model = |body: &str| body.contains("model: not started yet") && !body.contains("store:");
    let look = async || worker.pages.get("/readyz").filter(|(_, body)| only_model(body));
    until("a worker that loads its model", look).await;
}

/// A copy of a model of which one file never comes.
fn endless(model: &Path, into: &Path, file: &str) {
    copy(model, into);
    fs::remove_file(into.join(file)).expect("the file to replace");
    let made = Command::new("mkfifo").arg(into.join(file)).status().expect("mkfifo is there");
    assert!(made.success(), "mkfifo: {made}");
}

#[test]
fn r33_a_pull_of_a_model_that_is_told_to_end_leaves_no_part_of_it_in_the_model_folder() {
    let folder = scratch();
    let weights = vec![7; 1_000_000];
    let files: [(&str, &[u8]); 3] = [("model_index.json", b"{}"), ("unet/config.json", b"{}"), (UNET, &weights)];
    let parts: [(&str, &[u8]); 2] =
        [("vae/diffusion_pytorch_model.safetensors", b"vae"), ("text_encoder/model.safetensors", b"text")];
    let hub = Hub::start("owner/toy", &[&files[..], &parts[..]].concat());
    hub.fail(Faults { stall: true, cut: (9, 1000), ..Faults::default() });
    let models = folder.path().join("models");
    let mut command = clean(shanshui());
    command.args(["models", "pull", "owner/toy", "--hub-endpoint", hub.endpoint(), "--models"]);
    command.arg(&models).arg("--hub-home").arg(folder.path().join("hub"));
    let pull = Process::spawn("pull", &mut command);
    let deadline = Instant::now() + PATIENCE;
    while !walk(&models).iter().any(|path| path.ends_with(UNET)) {
        assert!(Instant::now() < deadline, "the pull asks for no file: {}", pull.log());
        thread::sleep(Duration::from_millis(20));
    }
    let told = Instant::now();
    pull.signal("TERM");
    pull.ends(LOADING);
    assert!(told.elapsed() <= LOADING, "{:?}", told.elapsed());
    assert!(!models.join("owner/toy").exists());
    let listed = clean(shanshui()).args(["models", "list", "--models"]).arg(&models).output().expect("shanshui starts");
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("toy"), "{listed:?}");
    let pieces = walk(&folder.path().join("hub"));
    assert!(pieces.is_empty(), "the hub's cache takes these for whole: {pieces:?}");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
