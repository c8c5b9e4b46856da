//! Clients in another language, with other people's libraries.

use std::fs::File;
use std::process::{Command, Output};

use shanshui_tests::{Job, clip, python, script, shared};

/// Runs a script of `tests/python`; a recording is its standard input.
fn run(name: &str, arguments: &[&str], input: &str) -> Output {
    let input = File::open(clip(input)).expect("a recording");
    let output = Command::new(python()).arg(script(name)).args(arguments).stdin(input).output();
    output.expect("python starts")
}

#[test]
fn a_python_client_speaks_and_sees_every_event() {
    let job = Job::new("python");
    let output = run("publish.py", &[shared().url(), "shanshui.audio.default", &job.id], "mountains.wav");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kinds: Vec<String> = serde_json::from_slice(&output.stdout).expect("a list of kinds");
    let kinds: Vec<_> = kinds.iter().filter(|kind| !matches!(kind.as_str(), "progress" | "finished")).collect();
    assert_eq!(kinds, ["accepted", "started", "transcript", "started", "picture", "picture", "done"]);
}
