//! The clients of `examples/clients`: each is run as its reader would run it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use shanshui_tests::{PATIENCE, Process, clean, clip, png, root, scratch};

use crate::clients::{fetched, foreign, stack};
use crate::gateway::door;

/// Most lines of an example that hold more than brackets or a comment.
const LINES: usize = 20;

fn folder() -> PathBuf {
    root().join("examples/clients")
}

/// Runs an example in a folder of its own with the recording of a cat; returns that folder and what it said.
fn run(program: impl AsRef<Path>, example: &str, server: &str) -> (tempfile::TempDir, String) {
    let folder = scratch();
    // Where Node looks for packages.
    symlink(fetched("node/node_modules"), folder.path().join("node_modules")).expect("a link");
    symlink(root().join("workers/gateway/proto/shanshui.proto"), folder.path().join("shanshui.proto")).expect("a link");
    let own = folder.path().join(example);
    fs::copy(self::folder().join(example), &own).expect("an example");
    let mut command = clean(program.as_ref());
    command.current_dir(folder.path()).arg(&own).arg(server).arg(clip("cat.wav"));
    said(folder, example, &mut command)
}

fn said(folder: tempfile::TempDir, name: &str, command: &mut Command) -> (tempfile::TempDir, String) {
    let process = Process::spawn(name, command);
    let exit = process.ends(PATIENCE);
    assert!(exit.success(), "{name}: {exit}; it said:\n{}", process.log());
    (folder, process.log())
}

/// Builds an example in Go with what Debian has.
fn built(example: &str, folder: &Path) -> PathBuf {
    let program = folder.join("client");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&program).arg(self::folder().join(example));
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "").env("GOPROXY", "off");
    let output = build.env("GOCACHE", root().join(".cache/go")).output().expect("go starts");
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    program
}

fn in_go(example: &str, server: &str) -> (tempfile::TempDir, String) {
    let folder = scratch();
    let program = built(example, folder.path());
    let mut command = clean(&program);
    command.current_dir(folder.path()).arg(server).arg(clip("cat.wav"));
    said(folder, example, &mut command)
}

#[test]
fn clients_over_http_get_words_and_pictures() {
    let server = format!("http://{}", door().address());
    let runs = [
        run(foreign("python"), "speak_http.py", &server),
        run(foreign("python"), "speak_grpc.py", &server),
        run("node", "speak_http.mjs", &server),
        run("sh", "speak_http.sh", &server),
        in_go("speak_http.go", &server),
    ];
    for (folder, log) in runs {
        assert!(log.to_lowercase().contains("a cat") && log.contains("done"), "{log}");
        let picture = fs::read(folder.path().join("picture-0.png")).expect("a picture");
        assert_eq!(png::size(&picture), (128, 128), "{log}");
    }
}

#[test]
fn clients_over_nats_see_the_words_and_the_end() {
    let server = stack().url();
    let runs = [
        run(foreign("python"), "speak_nats.py", server),
        run("node", "speak_nats.mjs", server),
        in_go("speak_nats.go", server),
    ];
    for (_folder, log) in runs {
        let lower = log.to_lowercase();
        assert!(lower.contains("transcript") && lower.contains("a cat") && log.contains("receipt.json"), "{log}");
    }
}

#[test]
fn no_example_is_long_or_needs_code_of_ours() {
    let mut seen = 0;
    for entry in fs::read_dir(folder()).expect("the examples").flatten() {
        let (path, text) = (entry.path(), fs::read_to_string(entry.path()).expect("an example"));
        if path.extension().is_some_and(|ending| ending == "md") {
            continue;
        }
        let code = |line: &&str| !line.trim().starts_with(['#']) && !line.trim().starts_with("//");
        let lines = text.lines().filter(code).filter(|line| line.contains(|c: char| c.is_ascii_alphanumeric())).count();
        assert!(lines <= LINES, "{}: {lines} lines", path.display());
        seen += 1;
        if path.extension().is_some_and(|ending| ending == "sh") {
            assert!(
                Command::new("sh").arg("-n").arg(&path).status().expect("sh starts").success(),
                "{}",
                path.display()
            );
        }
    }
    assert_eq!(seen, 9);
}
