//! A model in the bucket: pushed from one machine, fetched by a worker of another.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use shanshui_tests::{Job, PATIENCE, Process, Stack, ends_well, picture_model};

/// Another name than that of the folder beside the program.
const NAME: &str = "sketch";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Pushes the small model from a folder of this name.
fn push(stack: &Stack, folder: &Path) -> String {
    let models = folder.parent().and_then(Path::to_str).expect("a path");
    let push = stack.run(&["models", "push", NAME, "--models", models]);
    let said = String::from_utf8_lossy(&push.stderr).into_owned();
    assert!(push.status.success(), "{said}");
    said
}

fn copy(folder: &Path) {
    fs::create_dir_all(folder.parent().expect("a folder")).expect("a folder");
    let copied = Command::new("cp").arg("-r").arg(picture_model()).arg(folder).status().expect("cp is there");
    assert!(copied.success(), "cp: {copied}");
}

/// A worker that has no models of its own but those in a folder.
fn worker(stack: &Stack, model: &str) -> Command {
    let mut command = stack.worker_command("paint", "from the bucket");
    command.env("SHANSHUI_PICTURE_MODEL", model).env("SHANSHUI_MODELS_FROM_BUCKET", "true");
    command.env("SHANSHUI_MODELS", stack.folder().join("other"));
    command
}

#[tokio::test]
async fn a_model_that_was_pushed_is_fetched_by_a_worker_verified_and_named_in_the_receipt() {
    let stack = Stack::start();
    let client = stack.client().await;
    let own = stack.folder().join("own").join(NAME);
    copy(&own);
    push(&stack, &own);
    let lock = "models/sketch/shanshui-model.lock";
    let mut locked = client.json(lock).await;
    assert!(locked["files"]["unet/diffusion_pytorch_model.safetensors"]["bytes"].as_u64() > Some(1_000_000));
    // As a pull would have written it. A second push takes the lock that is there, and moves no weights.
    (locked["repository"], locked["commit"]) = (json!("owner/mini"), json!(COMMIT));
    fs::write(own.join("shanshui-model.lock"), locked.to_string()).expect("a lock");
    let said = push(&stack, &own);
    assert!(said.contains("unet/config.json: is in the bucket already"), "{said}");
    assert_eq!(client.json(lock).await["commit"], COMMIT);

    let lost = Process::spawn("a worker without a model", &mut worker(&stack, "owner/none"));
    assert!(!lost.ends(PATIENCE).success());
    assert!(lost.log().contains("shanshui models push owner/none"), "{}", lost.log());

    let worker = Process::spawn("worker", &mut worker(&stack, NAME));
    worker.says("taking jobs", PATIENCE);
    let job = Job::new("from-the-bucket");
    let payload = json!({ "id": job.id, "text": "a boat", "picture": { "count": 1, "steps": 2, "model": NAME } });
    let story = client.publish_and_follow(&job, "text", payload.to_string()).await;
    assert_eq!(story.finals(), ["done"]);
    let receipt: Value = client.json(&format!("jobs/{}/receipt.json", job.id)).await;
    let model = receipt.to_string();
    assert!(model.contains(r#""repository":"owner/mini""#) && model.contains(COMMIT), "{receipt:#}");
    worker.signal("TERM");
    ends_well(&worker);

    damaged(&stack);
}

/// The same model with a byte changed is refused by the next worker.
fn damaged(stack: &Stack) {
    let path = stack.folder().join("other").join(NAME).join("vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&path).expect("the weights that were fetched");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("damaged weights");
    let worker = Process::spawn("a worker with a damaged model", &mut worker(stack, NAME));
    assert!(!worker.ends(PATIENCE).success());
    let said = worker.log();
    assert!(said.contains("vae/diffusion_pytorch_model.safetensors: sha256 is"), "{said}");
}
