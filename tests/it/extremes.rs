//! Jobs with every field at its extremes, at real workers. A job's own fault is told at its first
//! attempt: it is not tried again, and it costs no worker.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use shanshui_tests::{Client, Job, PATIENCE, Process, Stack, recording, whisper};

/// Jobs of each queue that are drawn by chance, beside those with one extreme each.
const DRAWN: usize = 30;

/// Values that some field somewhere was not made for.
fn odd() -> Vec<Value> {
    let long = "山".repeat(3000);
    let mut all = vec![Value::Null, json!(true), json!([]), json!({}), json!({ "a": [1, { "b": null }] })];
    all.extend([0_i64, 1, -1, 7, 8, 63, i64::MAX, i64::MIN].map(Value::from));
    all.extend([0.0, -0.0, 0.5, 1e-300, 1e300, 4.0].map(Value::from));
    all.extend(["", " ", "default", "0", "NaN", "\u{0}", "../../etc/passwd", "\u{202e}abc", &long].map(Value::from));
    all.push(json!(u64::MAX));
    all
}

/// Fields of a text job's `picture`, each with values that have meant trouble.
fn picture() -> Vec<(&'static str, Vec<Value>)> {
    let samplers =
        ["euler", "euler-a", "ddim", "dpm++-2m", "dpm++-2m-karras", "pndm", "lms", "heun", "unipc", "lcm", "tcd"];
    vec![
        ("width", vec![json!(8), json!(16), json!(4096), json!(4104), json!(72)]),
        ("height", vec![json!(8), json!(4096), json!(1000)]),
        ("steps", vec![json!(1), json!(2), json!(1000), json!(1001)]),
        ("guidance", vec![json!(0), json!(1), json!(100), json!(101), json!(-1)]),
        ("seed", vec![json!(0), json!(u64::MAX), json!(-1)]),
        ("count", vec![json!(1), json!(64), json!(65)]),
        ("sampler", samplers.map(Value::from).to_vec()),
        ("format", ["png", "jpg", "JPEG", "webp", "gif"].map(Value::from).to_vec()),
        ("negative", vec![json!("山".repeat(420)), json!("a ".repeat(900))]),
        ("model", vec![json!("no-such-model")]),
    ]
}

/// Fields that every job has.
fn common() -> Vec<(&'static str, Vec<Value>)> {
    let times = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "yesterday"];
    vec![
        ("deadline", times.map(Value::from).to_vec()),
        ("start_before", times.map(Value::from).to_vec()),
        ("attempts", vec![json!(1), json!(100), json!(101)]),
        ("until", ["paint", "transcribe", "picture", "transcript", "nothing"].map(Value::from).to_vec()),
        ("labels", vec![json!({ "a": "b" }), json!({ "a": 1 }), json!({ "": "" })]),
        ("made", vec![json!("[]"), json!("[{}]"), json!([{ "stage": "transcribe" }])]),
        ("unknown", vec![json!({ "deep": [[[[[[[[1]]]]]]]] })]),
    ]
}

/// Fields of an audio job.
fn audio() -> Vec<(&'static str, Vec<Value>)> {
    let bytes = |bytes: &[u8]| json!({ "bytes": BASE64_STANDARD.encode(bytes) });
    let header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\xff\xff\xff\xff\xff\xff".as_slice();
    vec![
        ("audio", vec![bytes(b""), bytes(b"no sound"), bytes(header), json!({ "bytes": "!" })]),
        (
            "audio",
            vec![json!({ "key": "audio/none.wav" }), json!({ "key": "" }), json!({ "url": "http://127.0.0.1/" })],
        ),
        ("language", ["en", "auto", "xx", "ENGLISH", "yue"].map(Value::from).to_vec()),
        ("task", ["auto", "transcribe", "translate", "sing"].map(Value::from).to_vec()),
        ("hint", vec![json!("word ".repeat(2000)), json!("山".repeat(500))]),
        ("whisper", vec![json!("no-such-model")]),
    ]
}

/// A small text job with these fields changed.
fn text_job(id: &str, changes: &[(&str, bool, Value)]) -> Value {
    let mut job = json!({ "id": id, "text": "a boat" });
    let mut spec = json!({ "width": 64, "height": 64, "steps": 1, "count": 1 });
    for (field, of_picture, value) in changes {
        let place = if *of_picture { &mut spec } else { &mut job };
        place[*field] = value.clone();
    }
    if job.get("picture").is_none() {
        job["picture"] = spec;
    }
    job
}

/// Every field with each of its values and one odd value, then chance.
fn text_jobs(random: &mut StdRng) -> Vec<Value> {
    let odd = odd();
    let mut single: Vec<(&str, bool, Value)> = Vec::new();
    for (fields, of_picture) in [(picture(), true), (common(), false)] {
        for (field, values) in fields {
            single.extend(values.into_iter().map(|value| (field, of_picture, value)));
            single.push((field, of_picture, odd.choose(random).cloned().unwrap_or_default()));
        }
    }
    single.extend(odd.iter().map(|value| ("text", false, value.clone())));
    single.extend(odd.iter().take(8).map(|value| ("picture", false, value.clone())));
    let mut all: Vec<Vec<_>> = single.iter().map(|change| vec![change.clone()]).collect();
    all.extend((0..DRAWN).map(|_| single.choose_multiple(random, 3).cloned().collect()));
    all.iter().map(|changes| text_job(&Job::new("extreme").id, changes)).collect()
}

fn audio_jobs(random: &mut StdRng) -> Vec<Value> {
    let odd = odd();
    let silence = json!({ "bytes": BASE64_STANDARD.encode(recording("silence.wav")) });
    let mut all = Vec::new();
    for (field, values) in audio() {
        for value in values.into_iter().chain(odd.choose(random).cloned()) {
            let mut job = Map::from_iter([("id".into(), json!(Job::new("extreme-audio").id))]);
            job.insert("audio".into(), silence.clone());
            job.insert(field.into(), value);
            all.push(Value::Object(job));
        }
    }
    all
}

/// Ends that are all right for a job of any kind, and no second attempt.
async fn ends_at_its_first_attempt(client: &Client<'_>, job: &Value) {
    let id = job["id"].as_str().expect("a name");
    let story = client.follow(id).await;
    let kinds = story.kinds();
    let again = kinds.iter().any(|kind| ["retrying", "released"].contains(kind));
    assert!(!again && story.all("started").len() <= 2, "{job} is tried again: {:#?}", story.told());
    if let Some(failed) = story.all("failed").first() {
        let reason = failed["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty() && failed["code"].is_string(), "{job}: {failed}");
        assert!(!reason.contains("panicked"), "{job}: {failed}");
    }
}

#[tokio::test]
async fn jobs_with_every_field_at_its_extremes_cost_no_worker() {
    let stack = Stack::start();
    let mut ear = stack.worker_command("transcribe", "ear");
    let ear = Process::spawn("ear", ear.env("SHANSHUI_WHISPER", whisper("tiny.en")));
    // Limits of the worker's own, so that the largest pictures are refused rather than painted.
    let mut hand = stack.worker_command("paint", "hand");
    let limits = [("SHANSHUI_MAX_PIXELS", "16384"), ("SHANSHUI_MAX_STEPS", "50"), ("SHANSHUI_MAX_COUNT", "4")];
    let hand = Process::spawn("hand", hand.envs(limits));
    ear.says("taking jobs", PATIENCE);
    hand.says("taking jobs", PATIENCE);
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let client = stack.client().await;
    // Five in a row used to end a worker: 420 characters are more tokens than the model takes.
    let chinese = |at: usize| json!({ "id": format!("chinese-{at}"), "text": "高山流水，云深不知处。".repeat(40) });
    let texts = (0..5).map(chinese).map(|mut job| {
        job["picture"] = json!({ "width": 64, "height": 64, "steps": 1, "count": 1 });
        job
    });
    let texts: Vec<Value> = texts.chain(text_jobs(&mut random)).collect();
    let recordings = audio_jobs(&mut random);
    for (queue, jobs) in [("text", &texts), ("audio", &recordings)] {
        for job in jobs {
            client.publish_plainly(queue, job.to_string()).await;
        }
    }
    for job in texts.iter().chain(&recordings) {
        ends_at_its_first_attempt(&client, job).await;
    }
    let first = client.follow("chinese-0").await;
    assert_eq!(first.finals(), ["done"], "{:#?}", first.told());
    assert!(ear.is_running() && hand.is_running());
}
