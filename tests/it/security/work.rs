//! S15, the other half: the whole pipeline works with no more than these rights.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use shanshui_tests::{BUCKET, Door, PATIENCE, Process, clip, ends_well, faketime, recording, until};

use super::guarded::{Guarded, said};
use super::voice::Voice;

#[tokio::test]
async fn s15_a_whole_job_passes_through_workers_with_least_rights() {
    let guarded = Guarded::start();
    guarded.does("admin", &["streams", "check"]);
    let workers = [guarded.worker("transcribe"), guarded.worker("paint")];
    let recording = clip("mountains.wav");
    let recording = recording.to_str().expect("a path in Unicode");
    let wishes = ["--steps", "4", "--count", "1", "--json"];
    let spoken = guarded.does("tenant-a", &[&["say", recording, "--id", "spoken"], &wishes[..]].concat());
    let spoken: Value = serde_json::from_str(&spoken).expect("JSON");
    assert_eq!((&spoken["state"], spoken["pictures"].as_array().map(Vec::len)), (&"done".into(), Some(1)));
    guarded.does("tenant-a", &[&["draw", "a boat"], &wishes[..]].concat());
    let shown: Value =
        serde_json::from_str(&guarded.does("watch", &["jobs", "show", "spoken", "--json"])).expect("JSON");
    assert_eq!(shown["state"], "done");
    let gateway = Process::spawn("gateway", &mut guarded.command("gateway", &["gateway", "--gateway", "127.0.0.1:0"]));
    let door = Door::of(&gateway);
    let job = json!({ "text": "a boat", "picture": { "steps": 4, "count": 1 } });
    let done = door.post("/v1/jobs", &[("Prefer", "wait=120")], &job).is(200).json();
    assert_eq!(done["state"], "done");
    for path in ["/v1/capabilities", "/v1/jobs", "/v1/jobs?limit=1"] {
        door.get(path).is(200);
    }
    gateway.signal("TERM");
    ends_well(&gateway);

    // A job that nobody can read is buried, looked at and sent back.
    Voice::of(&guarded, "tenant-a").await.says("shanshui.text.default", "{\"text\":7}").await;
    let buried = until("a dead job", async || {
        let list = guarded.does("admin", &["dead", "list"]);
        list.contains("text: 7 is not allowed").then_some(())
    });
    buried.await;
    guarded.does("admin", &["dead", "replay", "1"]);

    assert!(guarded.run("reconcile", &["audit"]).status.code().is_some_and(|code| code < 2));
    erases(&guarded);
    let reconciler =
        Process::spawn("reconcile", &mut guarded.command("reconcile", &["reconcile", "--audit-seconds", "1"]));
    std::thread::sleep(Duration::from_secs(3));
    reconciler.signal("TERM");
    ends_well(&reconciler);

    for worker in &workers {
        worker.signal("TERM");
        ends_well(worker);
    }
    quiet(&guarded, &(workers.map(|worker| worker.log()).concat() + &reconciler.log() + &gateway.log()));
}

#[tokio::test]
async fn s15_an_intake_and_a_bucket_need_no_more_rights() {
    let guarded = Guarded::start();
    let worker = guarded.worker("transcribe");
    let flags = ["intake", "--until", "transcript", "--language", "en"];
    let intake = Process::spawn("intake", &mut guarded.command("intake", &flags));
    intake.says("taking recordings", PATIENCE);
    let store = guarded.objects.client();
    let put = store.put_object().bucket(BUCKET).key("inbox/cat.wav").body(recording("cat.wav").into());
    put.send().await.expect("the store takes the recording");
    let event = r#"{ "action": "PutObject", "bucket": "shanshui", "object": { "key": "inbox/cat.wav" } }"#;
    let bucket = Voice::of(&guarded, "bucket").await;
    for told in [event, event, "not an event"] {
        bucket.says("shanshui.intake.default", told).await;
    }
    let there = async || store.head_object().bucket(BUCKET).key("inbox/cat.json").send().await.ok().map(drop);
    until("a receipt beside the recording", there).await;
    let buried = async || guarded.does("admin", &["dead", "list"]).contains("no JSON").then_some(());
    until("a dead letter", buried).await;
    intake.signal("TERM");
    ends_well(&intake);
    quiet(&guarded, &(worker.log() + &intake.log()));
}

/// A gateway is reached from outside: with the users of deploy/nats.conf it erases nothing.
#[tokio::test]
async fn s15_a_gateway_without_the_right_to_erase_says_so_and_keeps_everything() {
    let guarded = Guarded::start();
    let _worker = guarded.worker("paint");
    let gateway = Process::spawn("gateway", &mut guarded.command("gateway", &["gateway", "--gateway", "127.0.0.1:0"]));
    let door = Door::of(&gateway);
    let job = json!({ "text": "a boat", "picture": { "steps": 1, "count": 1 } });
    let id = door.post("/v1/jobs", &[("Prefer", "wait=120")], &job).is(200).json()["id"].clone();
    let place = format!("/v1/jobs/{}", id.as_str().expect("a name"));
    let refused = door.send("DELETE", &format!("{place}?erase=true"), &[], b"").is(403).json();
    assert_eq!(refused["error"]["code"], "may-not-erase", "{refused}");
    assert_eq!(door.get(&place).is(200).json()["state"], "done");
    door.get(&format!("{place}/pictures/0")).is(200);
    // What it may see, it shows.
    assert!(door.get("/v1/topology?format=svg").is(200).text().starts_with("<svg"));
}

/// Its rule is over for what ended two days ago by its clock; it needs no rights but those of `reconcile`.
#[tokio::test]
async fn s15_a_reconciler_that_erases_by_rules_needs_no_more_rights() {
    let guarded = Guarded::start();
    let worker = guarded.worker("paint");
    guarded.does("tenant-a", &["draw", "a boat", "--steps", "1", "--count", "1", "--id", "old"]);
    let objects = |job: &str| walk(&guarded.folder().join("s3")).iter().filter(|path| path.contains(job)).count();
    assert!(objects("old") > 1);
    let mut command = guarded.command("reconcile", &["reconcile", "--audit-seconds", "1", "--keep", "tenant-a/done=1"]);
    command.env("LD_PRELOAD", faketime()).env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME", "+2d");
    let reconciler = Process::spawn("reconcile", &mut command);
    reconciler.says("job erased: its time was over", PATIENCE);
    until("the end of its time", async || (objects("old") == 0).then_some(())).await;
    assert_eq!(guarded.run("watch", &["jobs", "show", "old"]).status.code(), Some(1));
    reconciler.signal("TERM");
    ends_well(&reconciler);
    worker.signal("TERM");
    ends_well(&worker);
    quiet(&guarded, &(worker.log() + &reconciler.log()));
}

#[tokio::test]
async fn s15_a_job_handed_back_and_one_taken_back_need_no_more_rights() {
    let guarded = Guarded::start();
    let first = guarded.worker("paint");
    let long = ["draw", "a river", "--steps", "100", "--count", "4", "--no-wait", "--id"];
    guarded.does("tenant-a", &[&long[..], &["long"]].concat());
    let begun = async || guarded.run("watch", &["jobs", "show", "long"]).status.success().then_some(());
    until("the job's first events", begun).await;
    first.signal("TERM");
    first.says("drain", PATIENCE);
    first.signal("TERM");
    assert!(first.ends(PATIENCE).code().is_some());
    // The second delivery counts the attempts of the first: it reads the job's events.
    let second = guarded.worker("paint");
    guarded.does("tenant-a", &["jobs", "cancel", "long"]);
    second.says("job settled", PATIENCE);
    second.signal("TERM");
    ends_well(&second);
    let shown = guarded.does("watch", &["jobs", "show", "long", "--json"]);
    assert!(shown.contains("\"state\":\"canceled\""), "{shown}");
    quiet(&guarded, &(first.log() + &second.log()));
}

/// A tenant's speech goes, and what goes is told; a second time there is nothing.
fn erases(guarded: &Guarded) {
    let objects = || walk(&guarded.folder().join("s3")).into_iter().filter(|path| path.contains("spoken")).count();
    assert!(objects() > 2, "transcript, picture, receipt");
    let first = guarded.does("erase", &["erase", "spoken"]);
    assert!(first.contains("spoken: ") && first.ends_with("1 of 1 jobs erased\n"), "{first}");
    assert_eq!(objects(), 0);
    let again = guarded.does("erase", &["erase", "spoken"]);
    assert!(again.starts_with("spoken: nothing was left\n"), "{again}");
    let gone = guarded.run("watch", &["jobs", "show", "spoken"]);
    assert_eq!(gone.status.code(), Some(1), "{}", said(&gone));
    // Two jobs of this lane have ended, and the one that was sent back to its queue may not have.
    let all = guarded.does("erase", &["erase", "--tenant", "tenant-a", "--cancel"]);
    assert!(all.ends_with("jobs erased\n"), "{all}");
    let left = guarded.does("erase", &["erase", "--lane", "tenant-a", "--json"]);
    assert_eq!(left, "");
    for refused in [&["erase"][..], &["erase", "x", "--lane", "a"], &["erase", "--before", "soon"], &["erase", "../x"]]
    {
        assert_eq!(guarded.run("erase", refused).status.code(), Some(2), "{refused:?}");
    }
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { walk(&path) } else { vec![path.to_string_lossy().into_owned()] }
        })
        .collect()
}

/// Nobody was refused anything.
pub(super) fn quiet(guarded: &Guarded, workers: &str) {
    let log = guarded.server.log();
    let violations: Vec<&str> = log.lines().filter(|line| line.contains("Violation")).collect();
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(!workers.contains("NATS refused"), "{workers}");
}
