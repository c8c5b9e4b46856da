//! S16: who cannot say who he is stays outside, says so, and does not hammer at the door.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nkeys::KeyPair;
use shanshui_tests::{PATIENCE, Process};
use tempfile::TempDir;

use super::guarded::{Guarded, deploy, said};
use super::secrets::free_address;

/// Time in which a login is refused: five seconds, and slack for two busy cores.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn s16_a_command_without_the_right_password_is_refused() {
    let guarded = Guarded::start();
    let check = ["streams", "check", "--connect-seconds", "3"];
    let mut wrong = guarded.command("admin", &check);
    wrong.env("SHANSHUI_NATS_PASSWORD", "canary-wrong");
    let mut unknown = guarded.command("admin", &check);
    unknown.env("SHANSHUI_NATS_USER", "root");
    for (what, mut command) in [("none", guarded.stranger(&check)), ("wrong", wrong), ("unknown", unknown)] {
        let began = Instant::now();
        let output = command.output().expect("shanshui starts");
        assert_eq!(output.status.code(), Some(6), "{what}: {}", said(&output));
        assert!(said(&output).contains("authorization violation"), "{what}: {}", said(&output));
        assert!(began.elapsed() < SOON, "{what}: {:?}", began.elapsed());
    }
}

#[test]
fn s16_a_worker_without_the_right_password_stays_unready_says_why_and_keeps_calm() {
    let guarded = Guarded::start();
    let address = free_address();
    let mut command = guarded.command("paint", &["paint", "--http", &address]);
    command.env("SHANSHUI_NATS_PASSWORD", "canary-wrong");
    let began = Instant::now();
    let worker = Process::spawn("paint", &mut command);
    worker.says("authorization violation", SOON);
    let page = || super::secrets::page(&address, "/readyz");
    let unready = |page: &str| page.starts_with("HTTP/1.1 503") && page.contains("authorization violation");
    while !unready(&page()) {
        assert!(began.elapsed() < SOON, "{}", page());
    }
    keeps_calm(&guarded, "paint", began);
    assert!(!worker.log().contains("canary"), "{}", worker.log());
    worker.signal("TERM");
    assert!(worker.ends(PATIENCE).success(), "{}", worker.log());
}

/// A pipeline with a configuration that can be changed while it runs: `deploy/nats.conf` at first.
struct Changing {
    guarded: Guarded,
    text: String,
    config: PathBuf,
    _folder: TempDir,
}

impl Changing {
    fn start() -> Self {
        let folder = shanshui_tests::scratch();
        let config = folder.path().join("nats.conf");
        let text = fs::read_to_string(deploy("nats.conf")).expect("deploy/nats.conf");
        fs::write(&config, &text).expect("a file");
        let guarded = Guarded::bare(config.to_str().expect("a path in Unicode"), &[]);
        guarded.does("admin", &["streams", "apply"]);
        Self { guarded, text, config, _folder: folder }
    }

    /// Has the server go on with `new` in place of `old`.
    fn change(&self, old: &str, new: &str) {
        assert!(self.text.contains(old), "deploy/nats.conf has {old}");
        fs::write(&self.config, self.text.replace(old, new)).expect("a file");
        self.guarded.server.signal("HUP");
    }
}

#[test]
fn s16_a_worker_whose_password_is_revoked_says_so_and_keeps_calm() {
    let changing = Changing::start();
    let guarded = &changing.guarded;
    let worker = guarded.worker("paint");
    let began = Instant::now();
    changing.change("$SHANSHUI_PAINT_PASSWORD", "another");
    worker.says("lost the connection", SOON);
    worker.says("authorization violation", SOON);
    keeps_calm(guarded, "paint", began);
    assert!(!worker.log().contains("canary"), "{}", worker.log());
}

#[test]
fn a_worker_that_loses_a_permission_says_which_one_and_loses_no_job() {
    let changing = Changing::start();
    let guarded = &changing.guarded;
    let address = free_address();
    let worker = Process::spawn("paint", &mut guarded.command("paint", &["paint", "--http", &address]));
    worker.says("taking jobs", PATIENCE);
    changing.change("\"shanshui.dead.paint.*\", \"shanshui.events.*.*\"", "\"shanshui.dead.paint.*\"");
    guarded.server.says("Reloaded server configuration", PATIENCE);
    guarded.does("tenant-a", &["draw", "a boat", "--steps", "2", "--count", "1", "--id", "mute", "--no-wait"]);
    let page = || super::secrets::page(&address, "/readyz");
    let began = Instant::now();
    while !(page().starts_with("HTTP/1.1 503") && page().contains("Permissions Violation for Publish to")) {
        assert!(began.elapsed() < PATIENCE, "{}\n{}", page(), worker.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(worker.log().contains("shanshui.events.mute."), "{}", worker.log());
    changing.change("$SHANSHUI_PAINT_PASSWORD", "$SHANSHUI_PAINT_PASSWORD");
    worker.says("outcome=\"done\"", PATIENCE);
    assert!(guarded.does("watch", &["jobs", "show", "mute"]).contains("done"));
}

#[test]
fn s16_an_nkey_lets_in_and_another_one_does_not() {
    let folder = shanshui_tests::scratch();
    let config = folder.path().join("nats.conf");
    let (ours, other) = (KeyPair::new_user(), KeyPair::new_user());
    let text = fs::read_to_string(deploy("nats.conf")).expect("deploy/nats.conf");
    let old = "{ user: tenant-a, password: $SHANSHUI_TENANT_A_PASSWORD }";
    assert!(text.contains(old), "deploy/nats.conf has the user tenant-a");
    fs::write(&config, text.replace(old, &format!("{{ nkey: {} }}", ours.public_key()))).expect("a file");
    let guarded = Guarded::bare(config.to_str().expect("a path in Unicode"), &[]);
    guarded.does("admin", &["streams", "apply"]);
    let submits = |key: &KeyPair| {
        let seed = folder.path().join("seed.nk");
        fs::write(&seed, key.seed().expect("a seed")).expect("a file");
        with_nkey(&guarded, &seed).output().expect("shanshui starts")
    };
    let right = submits(&ours);
    assert!(right.status.success(), "{}", said(&right));
    let wrong = submits(&other);
    assert_eq!(wrong.status.code(), Some(6), "{}", said(&wrong));
}

fn with_nkey(guarded: &Guarded, seed: &Path) -> Command {
    let mut command = guarded.stranger(&["draw", "a cat", "--no-wait", "--connect-seconds", "3"]);
    command.env("SHANSHUI_NATS_NKEY", seed).env("SHANSHUI_NATS_INBOX", "_INBOX_tenant-a");
    command
}

/// Fewer than one login a second, over ten seconds.
fn keeps_calm(guarded: &Guarded, role: &str, since: Instant) {
    std::thread::sleep(Duration::from_secs(10).saturating_sub(since.elapsed()));
    let seconds = since.elapsed().as_secs_f64();
    let log = guarded.server.log();
    let refusals = log.lines().filter(|line| line.contains("authentication error") && line.contains(role)).count();
    assert!(refusals > 0 && (refusals as f64) < seconds, "{refusals} logins in {seconds:.0} s\n{log}");
}
