//! S31: what comes from outside cannot forge a line of the log, a header or a metric.

use serde_json::{Value, json};
use shanshui_tests::{Job, PATIENCE, Process, Stack, ends_well};

/// Begins a line only if somebody's line break was believed.
const FORGED: &str = "FORGED";

/// A paint worker with this form of logs, given texts and headers that would be lines.
async fn log_of(format: &str) -> String {
    let stack = Stack::start();
    let mut command = stack.worker_command("paint", "hand");
    command.env("SHANSHUI_LOG_FORMAT", format).env("SHANSHUI_LOG", "debug,async_nats=info,hyper=info");
    let worker = Process::spawn("paint", &mut command);
    worker.says("taking jobs", PATIENCE);
    let client = stack.client().await;
    let line = format!("x\r\n{FORGED} line\r\n\u{85}{FORGED}\u{2028}{FORGED}");
    let bad = [
        json!({ "id": line, "text": "a" }),
        json!({ "text": "a", "picture": { "model": line } }),
        json!({ "text": "a", "picture": { "sampler": format!("dice {FORGED}") } }),
        json!({ "text": "a", "deadline": line }),
        json!({ "text": "a", "labels": { line.as_str(): 5 } }),
        json!({ "text": "a", line.as_str(): { "x": 1 }, "picture": { "steps": line } }),
    ];
    for payload in bad {
        let job = Job::new("line").typed("application/json");
        let story = client.publish_and_follow(&job, "text", payload.to_string()).await;
        let dead = client.dead(&job.id).await.expect("a dead job");
        assert_eq!(story.finals(), ["failed"]);
        assert!(!dead.reason.contains(['\r', '\n', '\u{85}', '\u{2028}']), "{:?}", dead.reason);
    }
    // A label is the sender's own and goes on as it is, inside JSON.
    let labelled = json!({ "text": "a boat", "labels": { "tenant": line }, "picture": { "steps": 2, "count": 1 } });
    let job = Job::new("label").typed("application/json");
    let story = client.publish_and_follow(&job, "text", labelled.to_string()).await;
    assert_eq!(story.finals(), ["done"]);
    assert_eq!(story.one("accepted")["labels"]["tenant"], line.as_str());
    worker.signal("TERM");
    ends_well(&worker);
    worker.log()
}

#[tokio::test]
async fn s31_one_event_is_one_line_of_the_log_for_people() {
    let log = log_of("text").await;
    assert!(log.contains(FORGED), "the reasons are told, escaped");
    for line in log.lines() {
        // Each begins with its time.
        assert!(line.starts_with("20") && !line.contains(['\u{85}', '\u{2028}']), "{line:?}");
    }
}

#[tokio::test]
async fn s31_one_event_is_one_object_of_the_log_for_machines() {
    let log = log_of("json").await;
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|record| record.is_object()), "{line:?}");
    }
}
