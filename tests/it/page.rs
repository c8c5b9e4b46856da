//! The page, driven by a real Chromium with a microphone that hears a recording.

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use shanshui_tests::{Door, Process, Stack, clean, clip, root, sha256};

use crate::clients::{fetched, passes, stack};

/// A key that only this test has.
const KEY: &str = "sesame of the page";

/// What `tests/page/page.mjs` promises, a line each.
const PROMISES: usize = 24;

#[test]
fn who_opens_the_page_speaks_and_sees_words_and_pictures() {
    let (door, _gateway) = gateway(&mut command(stack()));
    // No worker, keys, and room for few jobs.
    let poor = Stack::start_with(&["--lane-jobs", "4"]);
    let keys = poor.folder().join("keys");
    fs::write(&keys, format!("page:{}\n", sha256(&Bytes::from_static(KEY.as_bytes())))).expect("a file");
    let (bare, _other) = gateway(command(&poor).arg("--api-keys").arg(&keys));

    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let mut browser = clean(Path::new("node"));
    browser.current_dir(root()).env("NODE_MODULES", fetched("page/node_modules"));
    browser.arg("tests/page/page.mjs").arg(http(&door)).arg(clip("mountains.wav")).arg(pictures);
    passes("page", browser.arg(http(&bare)).arg(KEY), PROMISES);
}

fn command(stack: &Stack) -> Command {
    stack.command(&["gateway", "--gateway", "127.0.0.1:0"])
}

fn gateway(command: &mut Command) -> (Door, Process) {
    let process = Process::spawn("gateway", command);
    (Door::of(&process), process)
}

fn http(door: &Door) -> String {
    format!("http://{}", door.address())
}
