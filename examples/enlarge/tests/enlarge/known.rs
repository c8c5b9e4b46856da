//! The parts that nobody told of the stage: streams, audit, topology, help.

use async_nats::jetstream;
use serde_json::json;
use shanshui_tests::{Job, Stack, clean, shanshui, steps, until};

use crate::{said, told};

const STAGES: [&str; 3] = ["transcribe", "paint", "enlarge"];

#[test]
fn help_topology_and_the_harness_know_the_stage() {
    super::take_program();
    let output = clean(shanshui()).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let places = STAGES.map(|stage| help.find(&format!("\n  {stage}")).unwrap());
    assert!(places.is_sorted() && help.contains("Run one worker that enlarges pictures"), "{help}");
    for command in ["up", "enlarge"] {
        let output = clean(shanshui()).args([command, "--help"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("--enlarge-factor"), "{command}");
    }
    assert_eq!(steps().iter().map(|step| step.stage.as_str()).collect::<Vec<_>>(), STAGES);
    assert_eq!(steps()[2].stream, "PICTURES");
    assert_eq!(steps()[2].consumers, ["enlarge", "enlarge_1", "enlarge_2", "enlarge_3"]);
}

#[test]
fn draw_knows_where_a_job_may_end() {
    super::take_program();
    let wrong = |arguments: &[&str]| {
        let output = clean(shanshui()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = wrong(&["draw", "a cat", "--until", "never"]);
    assert!(code == Some(2) && said.contains("picture or enlargement, or a stage: paint, enlarge"), "{said}");
}

#[tokio::test]
async fn streams_check_names_what_is_missing_of_the_stage_and_apply_makes_it() {
    let stack = super::stack();
    assert_eq!(said(&stack, &["streams", "check"]).0, Some(0));
    let queue = jetstream::new(async_nats::connect(stack.url()).await.unwrap());
    queue.get_stream("PICTURES").await.unwrap().delete_consumer("enlarge_2").await.unwrap();
    let (code, wrong) = said(&stack, &["streams", "check"]);
    assert!(code == Some(1) && wrong.contains("consumer enlarge_2 on PICTURES is missing"), "{wrong}");
    queue.delete_stream("PICTURES").await.unwrap();
    let (code, wrong) = said(&stack, &["streams", "check"]);
    assert!(code == Some(1) && wrong.contains("stream PICTURES is missing"), "{wrong}");
    let (code, done) = said(&stack, &["streams", "apply"]);
    assert!(code == Some(0) && done.contains("PICTURES"), "{done}");
    assert_eq!(said(&stack, &["streams", "check"]).0, Some(0));
}

#[tokio::test]
async fn the_audit_counts_a_job_that_waits_for_the_stage_and_topology_says_that_nobody_works_there() {
    let stack = super::stack();
    let _paint = stack.worker("paint", "hand");
    let client = stack.client().await;
    let job = Job::new("waits").typed("application/json");
    let text = json!({ "text": "a boat", "picture": { "width": 64, "height": 64, "steps": 1, "count": 1 } });
    client.publish(&job, "text", text.to_string()).await;
    client.follow_to(&job.id, "finished", "paint").await;
    until("the third queue", async || (client.untaken("PICTURES", "enlarge").await == 1).then_some(())).await;
    let audit = audit(&stack);
    assert_eq!((&audit["accepted"], &audit["in_flight"]), (&1.into(), &1.into()), "{audit}");
    let pools: Vec<_> = audit["pools"].as_array().unwrap().iter().map(|pool| &pool["stage"]).collect();
    assert_eq!(pools, STAGES);

    let lines = said(&stack, &["topology"]).1;
    assert!(
        lines.contains("enlarge: takes shanshui.pictures.<lane> from stream PICTURES, makes enlargement"),
        "{lines}"
    );
    assert!(lines.contains("pool default: 1 waiting (the oldest for "), "{lines}");
    assert!(lines.contains(" s), 0 running, 0 idle workers, no live worker"), "{lines}");
    let enlarge = &told(&stack, &["topology", "--json"])["steps"][2];
    assert_eq!((&enlarge["stage"], &enlarge["pools"][0]["abandoned"]), (&"enlarge".into(), &true.into()));

    let _enlarge = stack.worker("enlarge", "lens");
    client.follow(&job.id).await;
    client.whole_story(&job.id).await;
    let audit = self::audit(&stack);
    assert_eq!((&audit["ended"]["done"], &audit["in_flight"]), (&1.into(), &0.into()), "{audit}");
}

/// With every object read; nothing may be inconsistent.
fn audit(stack: &Stack) -> serde_json::Value {
    let audit = told(stack, &["audit", "--objects", "--json"]);
    assert_eq!(audit["discrepancies"], json!([]), "{audit}");
    audit
}
