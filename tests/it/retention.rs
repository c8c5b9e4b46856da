//! Jobs whose time is over go, by rules and by hand, and their senders are told nothing wrong.

use serde_json::{Value, json};
use shanshui_tests::{Client, Job, PATIENCE, Process, Stack, ends_well, faketime, until};

async fn painted(client: &Client<'_>, id: &str) {
    let job = Job::named(id.to_owned());
    let wish = json!({ "id": id, "text": "a river", "picture": { "steps": 1, "count": 1 } }).to_string();
    let story = client.publish_and_follow(&job, "text", wish).await;
    assert_eq!(story.finals(), ["done"]);
}

/// What is left of it in the bucket.
async fn objects(client: &Client<'_>, id: &str) -> usize {
    client.keys(&format!("jobs/{id}/")).await.len()
}

/// A reconciler with these rules, two days from now.
fn in_two_days(stack: &Stack, keep: &str) -> Process {
    let mut command = stack.command(&["reconcile", "--audit-seconds", "1", "--keep", keep]);
    command.env("LD_PRELOAD", faketime()).env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME", "+2d");
    Process::spawn("reconcile", &mut command)
}

#[tokio::test]
async fn a_rule_for_a_lane_holds_also_when_the_events_of_its_jobs_are_gone() {
    let stack = Stack::start();
    let client = stack.client().await;
    let worker = stack.worker("paint", "hand");
    painted(&client, "old").await;
    worker.signal("TERM");
    ends_well(&worker);
    // As when their stream is full: it is so before that of the ends is.
    let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
    let events = async_nats::jetstream::new(nats).get_stream("EVENTS").await.expect("a stream");
    events.purge().await.expect("an empty stream");
    let strict = in_two_days(&stack, "all=9,default/done=1");
    until("the end of its time", async || (objects(&client, "old").await == 0).then_some(())).await;
    strict.signal("TERM");
    ends_well(&strict);
}

#[tokio::test]
async fn a_reconciler_two_days_later_erases_what_its_rules_do_not_keep() {
    let stack = Stack::start();
    let client = stack.client().await;
    let worker = stack.worker("paint", "hand");
    painted(&client, "old").await;
    assert!(objects(&client, "old").await > 1);
    let start = |keep: &str| in_two_days(&stack, keep);
    let patient = start("done=3,default/failed=1");
    patient.says("connected to NATS", PATIENCE);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(objects(&client, "old").await > 1, "three days are not over");
    patient.signal("TERM");
    ends_well(&patient);
    let strict = start("all=9,default/done=1");
    until("the end of its time", async || (objects(&client, "old").await == 0).then_some(())).await;
    strict.says("job erased: its time was over", PATIENCE);
    strict.signal("TERM");
    ends_well(&strict);
    let audit: Value = serde_json::from_slice(&stack.run(&["audit", "--json"]).stdout).expect("JSON");
    assert_eq!((&audit["accepted"], &audit["discrepancies"]), (&json!(0), &json!([])));
    // Its name is free again.
    painted(&client, "old").await;
    worker.signal("TERM");
    ends_well(&worker);
}

#[tokio::test]
async fn a_job_that_runs_is_erased_only_when_it_may_be_canceled() {
    let stack = Stack::start();
    let client = stack.client().await;
    let wish = json!({ "id": "long", "text": "a river", "picture": { "steps": 150, "count": 4 } }).to_string();
    client.publish(&Job::named("long".to_owned()), "text", wish).await;
    let erase = |more: &[&str]| stack.run(&[&["erase", "long"], more].concat());
    let waits = erase(&[]);
    let said = String::from_utf8_lossy(&waits.stderr).into_owned();
    assert!(waits.status.code() == Some(1) && said.contains("job long has not ended"), "{said}");
    let late = erase(&["--cancel", "--wait-seconds", "1"]);
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(late.status.code() == Some(1) && said.contains("has not ended within 1 s"), "{said}");
    let _worker = stack.worker("paint", "hand");
    let told = erase(&["--cancel", "--json"]);
    let erased: Value = serde_json::from_slice(&told.stdout).expect("one JSON object");
    assert!(told.status.success() && erased["events"].as_u64() > Some(1), "{erased}");
    assert_eq!(client.whole_story("long").await.told(), Vec::<String>::new());
    assert_eq!(objects(&client, "long").await, 0);
}

#[tokio::test]
async fn an_erasure_that_breaks_off_is_taken_up_again() {
    let stack = Stack::start();
    let client = stack.client().await;
    let _worker = stack.worker("paint", "hand");
    painted(&client, "old").await;
    let erase = || stack.run(&["erase", "--before", "0h", "--json"]);
    stack.objects().faults().refuse(Some("DELETE"));
    let refused = erase();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("delete s3 object") && said.contains("403"), "{said}");
    // Until its objects are gone, its end is there and finds it again.
    assert_eq!(client.whole_story("old").await.finals(), ["done"]);
    stack.objects().faults().refuse(None);
    let told = erase();
    let erased: Value = serde_json::from_slice(&told.stdout).expect("one JSON object");
    assert!(told.status.success() && erased["job"] == "old", "{erased}");
    assert_eq!(objects(&client, "old").await, 0);
    assert_eq!((erase().status.code(), erase().stdout), (Some(0), Vec::new()));
}
