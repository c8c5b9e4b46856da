use serde_json::json;
use shanshui_pipeline::event::Envelope;

use super::Story;

fn story(events: &[(f64, serde_json::Value)]) -> Story {
    let event = |(at, data): &(f64, serde_json::Value)| -> Envelope {
        let time = format!("2027-01-01T00:00:{at:06.3}Z");
        serde_json::from_value(json!({ "subject": "a", "time": time, "source": "/x", "data": data })).unwrap()
    };
    Story { submitted: None, events: events.iter().map(event).collect() }
}

fn spoken() -> Vec<(f64, serde_json::Value)> {
    vec![
        (1.0, json!({ "kind": "accepted", "stage": "transcribe" })),
        (1.5, json!({ "kind": "started", "stage": "transcribe", "worker": "w", "attempt": 1 })),
        (2.0, json!({ "kind": "retrying", "stage": "transcribe", "attempt": 1, "reason": "r", "delay": 1.0 })),
        (3.5, json!({ "kind": "started", "stage": "transcribe", "worker": "w", "attempt": 2 })),
        (4.0, json!({ "kind": "transcript", "text": "a cat", "language": "en", "key": "k", "seconds": 0.5 })),
        (4.0, json!({ "kind": "finished", "stage": "transcribe", "seconds": 0.5, "made": "m" })),
        (4.25, json!({ "kind": "started", "stage": "paint", "worker": "w", "attempt": 1 })),
        (
            5.0,
            json!({ "kind": "picture", "index": 1, "key": "jobs/a/1.png", "sha256": "s", "seed": 7, "width": 8, "height": 8 }),
        ),
        (
            5.0,
            json!({ "kind": "picture", "index": 0, "key": "jobs/a/0.png", "sha256": "s", "seed": 7, "width": 8, "height": 8 }),
        ),
        (6.25, json!({ "kind": "done", "stage": "paint", "key": "jobs/a/receipt.json", "seconds": 2.0 })),
    ]
}

#[test]
fn each_stage_waits_from_the_end_of_the_one_before_and_works_through_its_retries() {
    let stages = story(&spoken()).stages();
    let told: Vec<_> = stages.iter().map(|s| (s.stage.as_str(), s.wait, s.work, s.attempts)).collect();
    assert_eq!(told, [("transcribe", 0.5, 2.5, 2), ("paint", 0.25, 2.0, 1)]);
}

#[test]
fn a_finished_job_knows_its_words_and_its_pictures_in_order() {
    let story = story(&spoken());
    assert_eq!(story.transcript(), Some(("a cat", "en")));
    assert_eq!(story.pictures().iter().map(|picture| picture.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(story.state(), "done");
}

#[test]
fn a_job_that_was_replayed_has_not_ended_before_its_last_run_has() {
    let failed = json!({ "kind": "failed", "stage": "paint", "reason": "r", "attempts": 1 });
    let accepted = json!({ "kind": "accepted", "stage": "paint", "run": 1 });
    let mut events = vec![(1.0, json!({ "kind": "accepted", "stage": "paint" })), (2.0, failed)];
    assert_eq!(story(&events).state(), "failed");
    events.push((3.0, accepted));
    assert_eq!(story(&events).end(), None);
}

#[test]
fn a_job_that_nobody_has_started_is_queued() {
    assert_eq!(story(&spoken()[..1]).state(), "queued");
    assert_eq!(story(&spoken()[..2]).state(), "working");
}
