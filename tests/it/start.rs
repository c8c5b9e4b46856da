//! How workers begin and end.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use shanshui_tests::{Job, PATIENCE, Process, Stack, ends_well, picture_model, until, whisper};

/// Starts a command that must refuse to work, and checks that it says why.
fn refuses(mut command: Command, names: &[&str]) {
    let process = Process::spawn("a worker that cannot start", &mut command);
    let exit = process.ends(PATIENCE);
    let said = process.log();
    assert!(!exit.success(), "it ended well; it said:\n{said}");
    assert!(exit.code().is_some(), "it was killed: {exit}; it said:\n{said}");
    assert!(names.iter().all(|name| said.contains(name)), "{names:?} are not all named; it said:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// A copy of a model with one file changed.
fn broken(model: &Path, into: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    copy(model, into);
    let path = into.join(file);
    let mut bytes = fs::read(&path).expect("the file to break");
    change(&mut bytes);
    fs::remove_file(&path).expect("a link or a copy");
    fs::write(&path, bytes).expect("a broken file");
}

/// Links are enough: only what is changed is written anew.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a model folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::os::unix::fs::symlink(entry.path(), to).expect("a link");
        }
    }
}

#[test]
fn s13_whisper_weights_that_are_cut_short_or_damaged_are_refused() {
    let stack = Stack::start();
    let cut = stack.folder().join("cut");
    broken(&whisper("tiny.en"), &cut, "model.bin", |bytes| bytes.truncate(bytes.len() / 2));
    let lying = stack.folder().join("lying");
    // The count of variables: four thousand millions instead of some hundred.
    broken(&whisper("tiny.en"), &lying, "model.bin", |bytes| bytes[4..64].fill(0xff));
    for folder in [cut, lying] {
        let mut command = stack.worker_command("transcribe", "ear");
        command.env("SHANSHUI_WHISPER", &folder);
        refuses(command, &["model.bin"]);
    }
}

#[test]
fn s13_picture_weights_that_are_cut_short_or_damaged_are_refused() {
    let stack = Stack::start();
    let (cut, lying) = (stack.folder().join("cut"), stack.folder().join("lying"));
    let weights = weights(&picture_model().join("unet"));
    let file = format!("unet/{weights}");
    broken(&picture_model(), &cut, &file, |bytes| bytes.truncate(bytes.len() / 2));
    // The length of the header: more than any machine has.
    broken(&picture_model(), &lying, &file, |bytes| bytes[..8].fill(0x7f));
    for folder in [cut, lying] {
        let mut command = stack.worker_command("paint", "hand");
        command.env("SHANSHUI_PICTURE_MODEL", &folder);
        refuses(command, &[&weights]);
    }
}

fn weights(folder: &Path) -> String {
    let mut names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let found = names.find(|name| name.to_string_lossy().ends_with(".safetensors")).expect("weights");
    found.to_string_lossy().into_owned()
}

#[test]
fn credentials_that_the_store_refuses_stop_a_worker_at_its_start() {
    let stack = Stack::start();
    for stage in ["paint", "transcribe"] {
        let mut command = stack.worker_command(stage, "nobody");
        command.env("SHANSHUI_S3_SECRET_KEY", "canary-not-the-secret");
        refuses(command, &["s3", "credentials"]);
    }
}

#[test]
fn s18_no_secret_is_told() {
    let stack = Stack::start();
    let mut command = stack.worker_command("paint", "nobody");
    command.env("SHANSHUI_S3_SECRET_KEY", "canary-not-the-secret").env("SHANSHUI_LOG", "trace");
    let process = Process::spawn("a worker that tells all", &mut command);
    process.ends(PATIENCE);
    assert!(!process.log().contains("canary"), "{}", process.log());
}

#[test]
fn a_worker_without_its_streams_names_what_is_missing() {
    let mut stack = Stack::start();
    stack.stop_nats();
    fs::remove_dir_all(stack.folder().join("nats/jetstream")).expect("the folder of the streams");
    stack.start_nats();
    refuses(stack.worker_command("paint", "hand"), &["AUDIO", "shanshui streams apply"]);
}

#[tokio::test]
async fn a_worker_waits_for_a_queue_that_is_not_there_yet() {
    let mut stack = Stack::start();
    stack.stop_nats();
    let address = free_address();
    let mut command = stack.worker_command("paint", "patient");
    command.env("SHANSHUI_HTTP", &address);
    let worker = Process::spawn("patient", &mut command);
    let ready = async || get(&address, "/readyz");
    let (status, body) = until("an answer", ready).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("nats"), "{body}");
    assert!(worker.is_running());
    stack.start_nats();
    until("readiness", async || ready().await.filter(|(status, _)| *status == 200)).await;
    let client = stack.client().await;
    assert_eq!(client.publish_and_follow(&Job::new("late"), "text", "a boat").await.finals(), ["done"]);
    let (_, metrics) = get(&address, "/metrics").expect("metrics");
    assert!(metrics.lines().any(|line| line.contains("done") && line.ends_with(" 1")), "{metrics}");
    assert_eq!(get(&address, "/livez").expect("life").0, 200);
}

/// An address that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound port").to_string()
}

/// Status and body of an HTTP answer, if there is one.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[tokio::test]
async fn a_worker_told_to_end_finishes_its_job_and_takes_no_other() {
    let stack = Stack::start();
    let client = stack.client().await;
    let worker = stack.worker("paint", "hand");
    let (running, waiting) = (Job::new("running"), Job::new("waiting"));
    let long = json!({ "id": running.id, "text": "a river", "picture": { "steps": 60 } }).to_string();
    client.publish(&running, "text", long).await;
    client.follow_to(&running.id, "progress", "paint").await;
    client.publish(&waiting, "text", "a boat").await;
    worker.signal("TERM");
    ends_well(&worker);
    let story = client.follow(&running.id).await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "picture", "done"]);
    assert_eq!(client.untaken("TEXT", "paint").await, 1);
    let _next = stack.worker("paint", "next");
    assert_eq!(client.follow(&waiting.id).await.finals(), ["done"]);
}

#[tokio::test]
async fn a_worker_told_twice_hands_its_job_back_at_once() {
    let stack = Stack::start();
    let client = stack.client().await;
    let worker = stack.worker("paint", "hasty");
    let job = Job::new("handed-back");
    let long = json!({ "id": job.id, "text": "a river", "picture": { "steps": 100, "count": 4 } }).to_string();
    client.publish(&job, "text", long).await;
    client.follow_to(&job.id, "progress", "paint").await;
    worker.signal("TERM");
    worker.says("draining", PATIENCE);
    worker.signal("TERM");
    ends_well(&worker);
    let _next = stack.worker("paint", "next");
    client.follow(&job.id).await;
    let story = client.whole_story(&job.id).await;
    assert_eq!(
        story.kinds(),
        ["accepted", "started", "released", "started", "picture", "picture", "picture", "picture", "done"]
    );
    assert_eq!(story.all("started")[1]["attempt"], 1, "an interrupted attempt does not count");
}
