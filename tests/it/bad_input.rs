//! What can never succeed: in DEAD at the first attempt, with a reason that names the field, and
//! the worker goes on.

mod audio;
mod values;

use bytes::Bytes;

use shanshui_tests::{Client, Job, shared};

/// A payload that no worker can do anything with.
struct Bad {
    what: &'static str,
    queue: &'static str,
    content_type: Option<&'static str>,
    payload: Bytes,
    /// What the reason must name.
    names: &'static [&'static str],
}

impl Bad {
    fn json(
        what: &'static str,
        queue: &'static str,
        payload: impl Into<Bytes>,
        names: &'static [&'static str],
    ) -> Self {
        Self { what, queue, content_type: Some("application/json"), payload: payload.into(), names }
    }

    fn packed(what: &'static str, payload: &[u8], names: &'static [&'static str]) -> Self {
        let payload = Bytes::copy_from_slice(payload);
        Self { what, queue: "text", content_type: Some("application/msgpack"), payload, names }
    }

    fn raw(what: &'static str, queue: &'static str, payload: impl Into<Bytes>, names: &'static [&'static str]) -> Self {
        Self { what, queue, content_type: None, payload: payload.into(), names }
    }
}

/// Most bytes that DEAD keeps of a job that can never succeed.
const KEPT: usize = 256 * 1024;

/// Publishes all of them, then a good job behind them, and checks how each ends.
async fn all_are_buried(all: Vec<Bad>) {
    let client = shared().client().await;
    let mut jobs = Vec::new();
    for bad in all {
        let job = bad.content_type.into_iter().fold(Job::new("bad"), Job::typed);
        client.publish(&job, bad.queue, bad.payload.clone()).await;
        jobs.push((job, bad));
    }
    let good = Job::new("good");
    assert_eq!(client.publish_and_follow(&good, "text", "a boat").await.finals(), ["done"]);
    let mut wrong = Vec::new();
    for (job, bad) in &jobs {
        wrong.extend(buried(&client, job, bad).await.err().map(|why| format!("{}: {why}", bad.what)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn buried(client: &Client<'_>, job: &Job, bad: &Bad) -> Result<(), String> {
    let story = client.follow(&job.id).await;
    let [failed] = story.all("failed")[..] else { return Err(format!("{:#?}", story.told())) };
    let dead = client.dead(&job.id).await.ok_or("it is not in DEAD")?;
    let reason = failed["reason"].as_str().unwrap_or_default();
    let missing: Vec<_> = bad.names.iter().filter(|name| !reason.contains(**name)).collect();
    let stage = if bad.queue == "audio" { "transcribe" } else { "paint" };
    let checks = [
        (missing.is_empty(), format!("the reason {reason:?} does not name {missing:?}")),
        (failed["attempts"] == 1, format!("{failed}")),
        (failed["stage"] == stage, format!("{failed}")),
        (dead.attempts == "1", format!("{dead:?}")),
        // A header is kept short.
        (dead.reason.len() > 10 && reason.starts_with(&dead.reason), format!("{dead:?}")),
        (dead.subject == format!("shanshui.{}.default", bad.queue), format!("{dead:?}")),
        (dead.payload == bad.payload.slice(..bad.payload.len().min(KEPT)), "the payload was changed".into()),
        (!dead.worker.is_empty(), format!("{dead:?}")),
        (reason.len() < 2000 && !reason.contains(['\n', '\u{202e}']), format!("the reason is no line: {reason:?}")),
        (story.finals() == ["failed"], format!("{:?}", story.finals())),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, why)) => Err(why),
    }
}

#[tokio::test]
async fn s01_what_is_no_job_is_buried() {
    let nested = format!("{{\"text\":\"a\",\"picture\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut deep = vec![0x81, 0xa1, b'a'];
    deep.extend(std::iter::repeat_n(0x91, 100_000));
    all_are_buried(vec![
        Bad::json("malformed JSON", "text", "{\"text\": nonsense}", &["payload"]),
        Bad::json("truncated JSON", "text", "{\"text\": \"a c", &["payload"]),
        Bad::json("bytes after JSON", "text", "{\"text\": \"a cat\"} {}", &["payload", "trailing"]),
        Bad::json("a list", "text", "[\"a cat\"]", &["object"]),
        Bad::json("nesting in JSON", "text", nested, &["payload", "recursion"]),
        Bad::json("half a character", "text", "{\"text\": \"a \\ud800 cat\"}", &["payload"]),
        Bad::json("a field twice", "text", "{\"text\": \"a\", \"text\": \"b\"}", &["text", "twice"]),
        Bad::json("no text", "text", "{}", &["text", "missing"]),
        Bad::packed("truncated MessagePack", b"\x81\xa4text\xa5a", &["payload"]),
        Bad::packed("bytes after MessagePack", b"\x81\xa4text\xa1a\xc0", &["payload", "after"]),
        Bad::packed("nesting in MessagePack", &deep, &["payload", "depth"]),
        Bad::packed("a string of four gigabytes", b"\x81\xa4text\xdb\xff\xff\xff\xff", &["payload"]),
        Bad::packed("a list of four thousand millions", b"\x81\xa4text\xdd\xff\xff\xff\xff", &["payload"]),
        Bad::packed("a byte that MessagePack does not know", b"\xc1", &["job"]),
        Bad::raw("nothing", "text", "", &["text"]),
        Bad::raw("white space", "text", " \n\t", &["text"]),
        Bad::raw("bytes that are no text", "text", &b"a cat \xff\xfe"[..], &["payload", "UTF-8"]),
    ])
    .await;
}
