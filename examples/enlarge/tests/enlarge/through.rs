//! Jobs go through all stages, or as far as they ask for.

use serde_json::{Value, json};
use shanshui_tests::{Client, Job, Process, Stack, Story};

fn text(more: &Value) -> String {
    let mut job = json!({ "text": "a red apple", "picture": { "width": 64, "height": 64, "steps": 2, "count": 2 } });
    for (field, value) in more.as_object().unwrap() {
        job[field] = value.clone();
    }
    job.to_string()
}

async fn sent(client: &Client<'_>, name: &str, more: &Value) -> (Job, Story) {
    let job = Job::new(name).typed("application/json");
    let story = client.publish_and_follow(&job, "text", text(more)).await;
    (job, story)
}

fn workers(stack: &Stack) -> [Process; 2] {
    [stack.worker("paint", "hand"), stack.worker("enlarge", "lens")]
}

/// Keys of objects in a receipt, of one kind.
fn keys<'a>(receipt: &'a Value, kind: &str) -> Vec<&'a str> {
    let objects = receipt["objects"].as_array().unwrap().iter();
    objects.filter(|object| object["kind"] == kind).filter_map(|object| object["key"].as_str()).collect()
}

#[tokio::test]
async fn a_text_becomes_pictures_and_larger_pictures() {
    let stack = super::stack();
    let _workers = workers(&stack);
    let client = stack.client().await;
    let (job, story) = sent(&client, "larger", &json!({ "enlarge": { "factor": 3 } })).await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "picture", "started", "done"]);
    assert_eq!(story.stages(), ["paint", "enlarge"]);
    assert_eq!(story.one("done")["stage"], "enlarge");

    let receipt = client.json(&format!("jobs/{}/receipt.json", job.id)).await;
    assert_eq!((&receipt["stages"]["enlarge"]["factor"], &receipt["job"]), (&3.into(), &job.id.as_str().into()));
    assert_eq!(receipt["stages"]["paint"]["text"], "a red apple");
    let (small, large) = (keys(&receipt, "picture"), keys(&receipt, "enlarged"));
    assert_eq!((small.len(), large.len()), (2, 2), "{receipt}");
    for (small, large) in small.iter().zip(large) {
        let size = |bytes: &[u8]| image::load_from_memory(bytes).map(|picture| (picture.width(), picture.height()));
        assert_eq!(size(&client.object(small).await).unwrap(), (64, 64));
        assert_eq!(size(&client.object(large).await).unwrap(), (192, 192));
    }
}

#[tokio::test]
async fn a_job_ends_where_it_asks_to_and_a_wrong_wish_is_refused_by_name() {
    let stack = super::stack();
    let _workers = workers(&stack);
    let client = stack.client().await;
    for until in ["paint", "picture"] {
        let (job, story) = sent(&client, "early", &json!({ "until": until })).await;
        assert_eq!((story.one("done")["stage"].as_str(), story.stages()), (Some("paint"), vec!["paint"]));
        let receipt = client.json(&format!("jobs/{}/receipt.json", job.id)).await;
        assert!(receipt["stages"]["enlarge"].is_null() && keys(&receipt, "enlarged").is_empty(), "{receipt}");
    }
    for until in ["enlarge", "enlargement"] {
        let (_, story) = sent(&client, "whole", &json!({ "until": until })).await;
        assert_eq!(story.one("done")["stage"], "enlarge");
    }
    let (job, story) = sent(&client, "huge", &json!({ "enlarge": { "factor": 99 } })).await;
    let failed = story.one("failed");
    assert_eq!(
        (&failed["stage"], &failed["attempts"], &failed["code"]),
        (&"enlarge".into(), &1.into(), &"bad-input".into())
    );
    let dead = client.dead(&job.id).await.expect("a letter in DEAD");
    assert!(dead.reason.contains("enlarge.factor: 99 is not allowed"), "{}", dead.reason);
    // Nobody but the pipeline says what was made: a client cannot have other pictures read.
    let forged = Job::new("forged").typed("application/json");
    let story = client.publish_and_follow(&forged, "pictures", "{}").await;
    assert!(story.one("failed")["reason"].as_str().unwrap().starts_with("made: (missing)"), "{:?}", story.told());
}
