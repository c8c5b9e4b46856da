//! The tenant whose jobs are attacked.

use std::time::Duration;

use serde_json::Value;
use shanshui_tests::{clip, until};

use crate::security::guarded::Guarded;

/// In a text that nobody else may read.
pub(super) const SECRET: &str = "a boat on canary water";

/// A job's name, and whether it is a recording.
pub(super) type Named = (&'static str, bool);

/// Accepted before the first attack.
pub(super) const EARLY: [Named; 2] = [("early-words", false), ("early-voice", true)];
/// Submitted after an attack on their names.
pub(super) const LATE: [Named; 2] = [("late-words", false), ("late-voice", true)];
/// All of them.
pub(super) const JOBS: [Named; 4] = [EARLY[0], EARLY[1], LATE[0], LATE[1]];

/// What ends a job.
const FINAL: [&str; 4] = ["done", "failed", "canceled", "no-speech"];

/// Puts jobs on the queue, and does not wait for them.
pub(super) fn submits(guarded: &Guarded, jobs: &[Named]) {
    let recording = clip("mountains.wav");
    let recording = recording.to_str().expect("a path in Unicode");
    for (id, is_recording) in jobs {
        let what = if *is_recording { ["say", recording] } else { ["draw", SECRET] };
        let wishes = ["--steps", "2", "--count", "1", "--no-wait", "--id", id];
        guarded.does("tenant-a", &[&what[..], &wishes].concat());
    }
}

/// Workers know the jobs. Before that, a name is anybody's who comes first.
pub(super) async fn are_accepted(guarded: &Guarded, jobs: &[Named]) {
    for (id, _) in jobs {
        let accepted = async || {
            let kinds = kinds(guarded, id);
            tokio::time::sleep(Duration::from_millis(100)).await;
            kinds.contains(&"accepted".to_owned()).then_some(())
        };
        until(&format!("the beginning of {id}"), accepted).await;
    }
}

/// Every job is done, once, and its objects are there.
pub(super) async fn ends(guarded: &Guarded, jobs: &[Named]) {
    for (id, _) in jobs {
        let ended = async || {
            let mut finals = kinds(guarded, id);
            finals.retain(|kind| FINAL.contains(&kind.as_str()));
            tokio::time::sleep(Duration::from_millis(300)).await;
            (!finals.is_empty()).then_some(finals)
        };
        assert_eq!(until(&format!("the end of {id}"), ended).await, ["done"], "{id}");
        for object in ["receipt.json", "0.png"] {
            assert!(guarded.objects.file(&format!("jobs/{id}/{object}")).exists(), "{id} has no {object}");
        }
    }
}

/// The kinds of a job's events, as its sender sees them.
fn kinds(guarded: &Guarded, id: &str) -> Vec<String> {
    let shown = guarded.run("tenant-a", &["jobs", "show", id, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    let events = shown["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter_map(|event| event["data"]["kind"].as_str()).map(str::to_owned).collect()
}
