//! From a recording to pictures, or to less.

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use shanshui_tests::{Client, Job, Story, png, recording, sha256, shared};

#[tokio::test]
async fn a_spoken_sentence_becomes_pictures() {
    let client = shared().client().await;
    let job = Job::new("spoken");
    let story = client.publish_and_follow(&job, "audio", recording("mountains.wav")).await;
    let expected = ["accepted", "started", "transcript", "started", "picture", "picture", "done"];
    assert_eq!(story.kinds(), expected);
    assert_eq!(story.all("started").iter().map(|data| &data["stage"]).collect::<Vec<_>>(), ["transcribe", "paint"]);
    assert_eq!(story.words().trim(), "Paint high mountains and a river under a full moon.");
    assert!(!story.all("progress").is_empty(), "no progress was told");
    assert_eq!(story.stages(), ["transcribe", "paint"]);
    objects_are_as_the_receipt_says(&client, &job, &story).await;
    assert_eq!(client.whole_story(&job.id).await.finals(), ["done"]);
}

async fn objects_are_as_the_receipt_says(client: &Client<'_>, job: &Job, story: &Story) {
    let key = |name: &str| format!("jobs/{}/{name}", job.id);
    let keys = client.keys(&key("")).await;
    let all = ["0.png", "1.png", "paint.json", "receipt.json", "transcript.json"];
    let forms = ["transcript.srt", "transcript.txt", "transcript.vtt"];
    assert_eq!(keys, [&all[..], &forms[..]].concat().into_iter().map(key).collect::<Vec<_>>());
    assert_eq!(story.one("done")["key"], key("receipt.json"));
    let receipt = client.json(&key("receipt.json")).await;
    for name in ["transcript.json", "transcript.srt", "paint.json", "0.png", "1.png"] {
        let found = sha256(&client.object(&key(name)).await);
        assert_eq!(listed(&receipt, &key(name)), Some(found.as_str()), "{name} in {receipt:#}");
    }
    let changed = |name: &str| modified(client, &key(name));
    assert!(["transcript.json", "0.png", "1.png"].iter().all(|name| changed(name) <= changed("receipt.json")));
    for (event, picture) in story.all("picture").iter().zip(client.pictures(story).await) {
        assert_eq!(event["sha256"], sha256(&picture));
        assert_eq!((&event["width"], &event["height"]), (&png::size(&picture).0.into(), &png::size(&picture).1.into()));
        let parameters = png::text(&picture, "parameters").expect("the chunk that A1111 writes");
        assert!(parameters.contains("high mountains") && parameters.contains("Seed: "), "{parameters}");
    }
}

/// The sha256 beside a key, wherever in the receipt they stand.
fn listed<'a>(receipt: &'a Value, key: &str) -> Option<&'a str> {
    match receipt {
        Value::Object(fields) if fields.get("key").is_some_and(|found| found == key) => fields.get("sha256")?.as_str(),
        Value::Object(fields) => fields.values().find_map(|value| listed(value, key)),
        Value::Array(items) => items.iter().find_map(|value| listed(value, key)),
        _ => None,
    }
}

fn modified(client: &Client<'_>, key: &str) -> SystemTime {
    let file = std::fs::metadata(client.stack().objects().file(key)).expect("a file for each object");
    file.modified().expect("a file system that tells the time")
}

/// WAV files one behind the other, three times.
fn talk(names: &[&str]) -> Vec<u8> {
    let files: Vec<_> = names.iter().map(|name| recording(name)).collect();
    let sound: Vec<u8> = [&files; 3].into_iter().flatten().flat_map(|file| file[44..].to_vec()).collect();
    let length = u32::try_from(sound.len()).expect("a short talk");
    let mut talk = files[0][..44].to_vec();
    talk[4..8].copy_from_slice(&(length + 36).to_le_bytes());
    talk[40..44].copy_from_slice(&length.to_le_bytes());
    [talk, sound].concat()
}

#[tokio::test]
async fn words_are_told_while_the_rest_is_decoded() {
    let client = shared().client().await;
    let job = Job::new("partial");
    let sound = talk(&["mountains.wav", "librispeech-1995-1837-0001.wav", "cat.wav", "apple.wav"]);
    client.put(&format!("audio/{}", job.id), sound).await;
    let payload = json!({ "audio": { "key": format!("audio/{}", job.id) }, "until": "transcript" }).to_string();
    let (story, _) = tokio::join!(client.follow(&job.id), client.publish(&job, "audio", payload));
    let (partials, words) = (story.all("partial"), story.words());
    assert!(partials.len() >= 2, "{:#?}", story.told());
    let part = |data: &Value| data["part"].as_u64().expect("a number");
    assert!(partials.is_sorted_by_key(|data| part(data)), "{partials:#?}");
    assert!(partials[0]["text"].as_str().expect("words").starts_with("Paint"), "{partials:#?}");
    let settled = partials.iter().filter(|data| data["settled"] == true);
    let settled: String = settled.filter_map(|data| data["text"].as_str()).collect();
    assert!(!settled.is_empty() && words.starts_with(&settled), "{settled:?} of {words:?}");
    assert!(partials.iter().all(|data| data["language"] == "en" && data.to_string().len() < 8000));
    let first = |kind: &str| story.told().iter().position(|told| told.contains(&format!("\"kind\":\"{kind}\"")));
    assert!(first("partial") < first("transcript"), "{:#?}", story.told());
    // The stream keeps none.
    assert!(client.follow(&job.id).await.all("partial").is_empty());
}

#[tokio::test]
async fn a_job_may_end_with_its_transcript() {
    let client = shared().client().await;
    let job = Job::new("words");
    client.put(&format!("audio/{}", job.id), recording("cat.wav")).await;
    let payload = json!({ "audio": { "key": format!("audio/{}", job.id) }, "until": "transcript" });
    let story = client.publish_and_follow(&job, "audio", payload.to_string()).await;
    assert_eq!(story.kinds(), ["accepted", "started", "transcript", "done"]);
    assert_eq!(story.words().trim().to_lowercase(), "a cat sitting under a yellow star.");
    let transcript = client.json(&format!("jobs/{}/transcript.json", job.id)).await;
    let segment = &transcript["segments"][0];
    let (start, end) = (segment["start"].as_f64().expect("seconds"), segment["end"].as_f64().expect("seconds"));
    assert!(0.0 <= start && start < end && end < 4.0, "{transcript:#}");
    assert!(client.keys(&format!("jobs/{}/", job.id)).await.iter().all(|key| !key.ends_with(".png")));
}

#[tokio::test]
async fn s07_silence_and_noise_are_no_speech_and_paint_nothing() {
    let client = shared().client().await;
    for name in ["silence.wav", "noise.wav"] {
        let job = Job::new("quiet");
        client.publish_and_follow(&job, "audio", recording(name)).await;
        let story = client.whole_story(&job.id).await;
        assert_eq!(story.kinds(), ["accepted", "started", "no-speech"], "{name}");
        assert_eq!(story.one("started")["stage"], "transcribe", "{name}");
    }
}

#[tokio::test]
async fn mandarin_is_recognised_and_written_down() {
    let client = shared().client().await;
    let (job, clip) = (Job::new("mandarin"), recording("aishell-BAC009S0724W0121.wav"));
    client.put(&format!("audio/{}", job.id), clip).await;
    let audio = json!({ "key": format!("audio/{}", job.id) });
    let payload = json!({ "audio": audio, "task": "transcribe", "until": "transcript" });
    let (story, _) = tokio::join!(client.follow(&job.id), client.publish(&job, "audio", payload.to_string()));
    let partials = story.all("partial");
    assert!(!partials.is_empty(), "{:#?}", story.told());
    for partial in partials {
        let text = partial["text"].as_str().expect("words");
        assert!(!text.is_empty() && !text.contains('\u{fffd}') && partial["language"] == "zh", "{partial}");
    }
    assert_eq!(story.one("transcript")["language"], "zh");
    assert!(story.words().contains("广州") || story.words().contains("廣州"), "{}", story.words());
}

#[tokio::test]
async fn mandarin_is_translated_before_it_is_painted() {
    let client = shared().client().await;
    let (job, clip) = (Job::new("translated"), recording("aishell-BAC009S0724W0121.wav"));
    client.put(&format!("audio/{}", job.id), clip).await;
    let audio = json!({ "key": format!("audio/{}", job.id) });
    let payload = json!({ "audio": audio, "language": "zh", "task": "translate", "picture": { "count": 1 } });
    let story = client.publish_and_follow(&job, "audio", payload.to_string()).await;
    assert_eq!(story.kinds(), ["accepted", "started", "transcript", "started", "picture", "done"]);
    let words = story.words();
    assert!(words.is_ascii() && words.contains(' '), "not English: {words}");
    let pictures = client.pictures(&story).await;
    let parameters = png::text(&pictures[0], "parameters").expect("the chunk that A1111 writes");
    assert!(parameters.starts_with(words.trim()), "{words} was not what was painted: {parameters}");
}

#[tokio::test]
async fn spoken_wishes_become_settings_and_the_words_are_kept() {
    let client = shared().client().await;
    let clip = recording("wishes.flac");
    let spoken = |voice: bool, picture: serde_json::Value| {
        let audio = json!({ "bytes": BASE64_STANDARD.encode(&clip) });
        json!({ "audio": audio, "language": "en", "voice": voice, "picture": picture }).to_string()
    };
    let story = client.publish_and_follow(&Job::new("wishes"), "audio", spoken(true, json!({ "steps": 2 }))).await;
    assert!(story.words().contains("portrait format"), "{}", story.words());
    let reading = &story.one("transcript")["voice"];
    let words = story.words();
    assert_eq!(reading["text"], "a cat sitting under a yellow star", "{words}: {reading:#}");
    assert_eq!(reading["settings"], json!({ "shape": "portrait", "count": 1, "seed": 42 }));
    let picture = story.one("picture");
    assert_eq!((&picture["seed"], &picture["width"], &picture["height"]), (&json!(42), &json!(96), &json!(144)));
    let receipt = client.json(story.one("done")["key"].as_str().expect("a key")).await;
    assert_eq!(&receipt["stages"]["transcribe"]["voice"], reading);
    let pictures = client.pictures(&story).await;
    let parameters = png::text(&pictures[0], "parameters").expect("the chunk that A1111 writes");
    assert!(parameters.starts_with("a cat sitting under a yellow star\n"), "{parameters}");
    // Undone, and with settings of the job's own.
    let plain = json!({ "steps": 2, "count": 1, "seed": 7 });
    let story = client.publish_and_follow(&Job::new("plain"), "audio", spoken(false, plain)).await;
    assert_eq!(story.one("transcript").get("voice"), None);
    let picture = story.one("picture");
    assert_eq!((&picture["seed"], &picture["width"], &picture["height"]), (&json!(7), &json!(128), &json!(128)));
}
