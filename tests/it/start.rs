//! What a worker refuses to begin with.

use std::fs;
use std::path::Path;
use std::process::Command;

use shanshui_tests::{PATIENCE, Process, Stack, picture_model, whisper};

/// Starts a command that must refuse to work, and checks that it says why.
pub(crate) fn refuses(mut command: Command, names: &[&str]) {
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
pub(crate) fn copy(from: &Path, to: &Path) {
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
