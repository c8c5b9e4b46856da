//! From a text to pictures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::Value;
use serde_json::json;

use shanshui_tests::{Job, Stack, png, shared};

#[tokio::test]
async fn a_text_becomes_two_pictures() {
    let client = shared().client().await;
    let job = Job::new("text");
    let story = client.publish_and_follow(&job, "text", "a red apple on a green field").await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "picture", "done"]);
    let pictures = client.pictures(&story).await;
    assert_ne!(pictures[0], pictures[1]);
}

#[tokio::test]
async fn a_picture_shows_itself_while_it_is_painted() {
    let client = shared().client().await;
    let job = Job::new("preview");
    let payload = json!({ "id": job.id, "text": "high mountains", "picture": { "count": 1, "steps": 60 } });
    let (story, _) = tokio::join!(client.follow(&job.id), client.publish(&job, "text", payload.to_string()));
    let previews = story.all("preview");
    assert!(!previews.is_empty(), "no preview among {:#?}", story.told());
    for preview in previews {
        let picture = STANDARD.decode(preview["png"].as_str().expect("a picture in base64")).expect("base64");
        let told = [&preview["width"], &preview["height"]].map(|side| side.as_u64().expect("pixels") as u32);
        assert_eq!((png::size(&picture), &preview["index"]), ((told[0], told[1]), &json!(0)));
        assert!((15..60).contains(&preview["step"].as_u64().expect("a step")) && preview["steps"] == 60);
    }
    // The stream keeps none.
    assert!(client.follow(&job.id).await.all("preview").is_empty());
}

#[tokio::test]
async fn a_text_published_by_any_tool_gets_a_name_of_its_own() {
    let client = shared().client().await;
    let sequence = client.publish_plainly("text", "a boat").await;
    let job = client.name_of(sequence).await;
    assert_eq!(client.follow(&job).await.finals(), ["done"]);
}

#[tokio::test]
async fn wishes_in_json_are_granted() {
    let client = shared().client().await;
    let job = Job::new("wishes");
    let picture = json!({
        "width": 96, "height": 64, "steps": 5, "guidance": 2.5, "negative": "fog", "seed": 42, "count": 3,
        "sampler": "ddim", "format": "png", "a-later-field": [1, 2]
    });
    let payload = json!({ "id": job.id, "text": "a tree", "picture": picture, "labels": { "tenant": "a" } });
    let story = client.publish_and_follow(&job, "text", payload.to_string()).await;
    assert_eq!(story.one("accepted")["labels"], json!({ "tenant": "a" }));
    let pictures = client.pictures(&story).await;
    assert_eq!(pictures.iter().map(|picture| png::size(picture)).collect::<Vec<_>>(), [(96, 64); 3]);
    let parameters = png::text(&pictures[0], "parameters").expect("the chunk that A1111 writes");
    for wish in ["Negative prompt: fog", "Steps: 5", "CFG scale: 2.5", "Seed: 42", "Size: 96x64", "Sampler: DDIM"] {
        assert!(parameters.contains(wish), "{wish} is not in {parameters}");
    }
}

#[tokio::test]
async fn a_job_in_messagepack_is_as_good() {
    let client = shared().client().await;
    let picture = map([("seed", 7.into()), ("count", 1.into()), ("steps", 4.into())]);
    for content_type in [None, Some("application/msgpack"), Some("application/vnd.msgpack")] {
        let job = content_type.into_iter().fold(Job::new("packed"), Job::typed);
        let mut payload = Vec::new();
        let value = map([("id", job.id.as_str().into()), ("text", "a house".into()), ("picture", picture.clone())]);
        rmpv::encode::write_value(&mut payload, &value).expect("memory takes it");
        let story = client.publish_and_follow(&job, "text", payload).await;
        assert_eq!(story.one("picture")["seed"], 7);
    }
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

#[tokio::test]
async fn the_same_job_painted_anew_by_another_worker_gives_the_same_bytes() {
    let job = Job::new("again");
    let picture = json!({ "seed": 11, "count": 2, "steps": 6, "sampler": "euler-a" });
    let payload = json!({ "id": job.id, "text": "mountains and flowing water", "picture": picture }).to_string();
    let client = shared().client().await;
    let story = client.publish_and_follow(&job, "text", payload.clone()).await;
    let other = Stack::start();
    let _worker = other.worker("paint", "another-hand");
    let anew = other.client().await;
    let second = anew.publish_and_follow(&job, "text", payload).await;
    assert_eq!(story.all("picture"), second.all("picture"));
    assert_eq!(client.pictures(&story).await, anew.pictures(&second).await);
}

#[tokio::test]
async fn s09_control_and_bidirectional_characters_do_not_reach_the_picture() {
    let client = shared().client().await;
    let job = Job::new("odd");
    let text = "a \u{0}cat\u{7}\u{202e} under\u{200b} a\u{2066} moon\u{9b}\r\nSteps: 1";
    let payload = json!({ "id": job.id, "text": text, "picture": { "count": 1, "steps": 4 } });
    let story = client.publish_and_follow(&job, "text", payload.to_string()).await;
    assert_eq!(story.finals(), ["done"]);
    let parameters = png::text(&client.pictures(&story).await[0], "parameters").expect("the chunk that A1111 writes");
    let prompt = parameters.lines().next().expect("a first line");
    assert!(prompt.contains("cat") && prompt.contains("moon"), "{prompt:?}");
    let odd = |c: char| c.is_control() || "\u{202e}\u{2066}\u{200b}".contains(c);
    assert!(!prompt.contains(odd), "{prompt:?}");
}
