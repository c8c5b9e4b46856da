//! Jobs by every way in, and what comes back.

use serde_json::json;
use shanshui_tests::{png, recording, sha256};

use super::{door, painted, small, text};
use crate::clients::stack;

#[test]
fn a_recording_in_a_form_comes_back_as_words_and_a_picture() {
    let door = door();
    let job = json!({ "picture": small(), "labels": { "from": "<b>test</b>" } }).to_string();
    let parts: [(&str, Option<&str>, &[u8]); 2] =
        [("job", None, job.as_bytes()), ("audio", Some("cat.wav"), &recording("cat.wav"))];
    let done = door.form("/v1/jobs", &[("Prefer", "wait=120")], &parts).is(200);
    let (job, place) = (done.json(), done.header("location").to_owned());
    assert_eq!((&job["state"], &job["labels"]["from"]), (&"done".into(), &"<b>test</b>".into()), "{job}");
    assert!(text(&job["transcript"]["text"]).contains("cat"), "{job}");
    assert_eq!(job["receipt"]["stages"]["paint"]["recipe"]["seed"], 7, "{job}");
    assert_eq!(door.get(&place).is(200).json()["pictures"], job["pictures"]);

    let own = &job["pictures"][0];
    let picture = door.get(&text(&own["url"])).is(200);
    assert_eq!((png::size(&picture.body), sha256(&picture.body)), ((64, 64), text(&own["sha256"])));
    let told = ["content-type", "content-length", "x-content-type-options"].map(|name| picture.header(name));
    assert_eq!(told, ["image/png", &picture.body.len().to_string(), "nosniff"]);
    let tag = format!("\"{}\"", text(&own["sha256"]));
    assert_eq!(picture.header("etag"), tag);
    let again = door.send("GET", &text(&own["url"]), &[("If-None-Match", &tag)], b"").is(304);
    assert!(again.body.is_empty());
    door.get(&format!("{place}/pictures/1")).is(404);

    let types =
        [("json", "application/json"), ("txt", "text/plain"), ("srt", "application/x-subrip"), ("vtt", "text/vtt")];
    for (form, media) in types {
        let words = door.get(&format!("{place}/transcript.{form}")).is(200);
        assert!(words.header("content-type").starts_with(media) && words.text().contains("cat"), "{form}: {words:?}");
    }
    door.get(&format!("{place}/transcript.exe")).is(404);
}

#[test]
fn a_recording_as_it_is_and_a_text_are_taken_and_told_where_they_wait() {
    let door = door();
    let spoken = door.send("POST", "/v1/jobs", &[("Content-Type", "audio/wav")], &recording("cat.wav")).is(202);
    let typed = door.send("POST", "/v1/jobs", &[("Content-Type", "text/plain; charset=utf-8")], b"a boat").is(202);
    for sent in [&spoken, &typed] {
        let (told, place) = (sent.json(), sent.header("location"));
        assert_eq!((&told["state"], &told["links"]["self"]), (&"queued".into(), &place.into()), "{told}");
        // Before any worker has told anything of it.
        door.get(place).is(200);
        let last = door.follow(&format!("{place}/events"), &[]).last().expect("events");
        assert_eq!(last.kind, "done", "{last:?}");
        assert_eq!(door.get(place).is(200).json()["pictures"].as_array().map(Vec::len), Some(2));
    }
    let listed = door.get("/v1/jobs?limit=100").is(200).json();
    let ids: Vec<_> = listed["jobs"].as_array().expect("a list").iter().map(|job| &job["id"]).collect();
    let at = |sent: &shanshui_tests::door::Answer| ids.iter().position(|id| **id == sent.json()["id"]).expect("listed");
    assert!(at(&typed) != at(&spoken));
    let (mut after, mut paged) = (String::new(), Vec::new());
    while paged.len() < 2 {
        let page = door.get(&format!("/v1/jobs?limit=1{after}")).is(200).json();
        paged.push(page["jobs"][0]["id"].clone());
        after = format!("&after={}", text(&page["next"]));
    }
    assert_ne!(paged[0], paged[1]);
}

#[test]
fn the_same_request_is_one_job_and_another_under_its_key_is_refused() {
    let door = door();
    let once = [("Idempotency-Key", "key of this test")];
    let first = painted(&door, &once).is(200).json();
    let again = door.post("/v1/jobs", &once, &json!({ "text": "a boat", "picture": small() })).is(202).json();
    assert_eq!((&again["id"], &again["state"]), (&first["id"], &"done".into()));
    let other = door.post("/v1/jobs", &once, &json!({ "text": "a tree", "picture": small() })).is(409).json();
    assert_eq!(other["error"]["code"], "name-used", "{other}");
    let both = json!({ "text": "a boat", "id": "own" });
    assert_eq!(door.post("/v1/jobs", &once, &both).is(400).json()["error"]["param"], "id");
}

#[test]
fn a_job_is_canceled_and_a_wait_that_is_over_is_no_result() {
    let door = door();
    let long = json!({ "text": "a river", "picture": { "steps": 100, "count": 8 } });
    let sent = door.post("/v1/jobs", &[("Prefer", "wait=0")], &long).is(202);
    let place = sent.header("location");
    door.send("DELETE", place, &[], b"").is(202);
    let kinds: Vec<_> = door.follow(&format!("{place}/events"), &[]).map(|event| event.kind).collect();
    assert_eq!(kinds.last().map(String::as_str), Some("canceled"), "{kinds:?}");
    assert_eq!(door.get(place).is(200).json()["state"], "canceled");
    assert_eq!(door.send("DELETE", place, &[], b"").is(409).json()["error"]["code"], "job-ended");
    let silent = door.send(
        "POST",
        "/v1/jobs",
        &[("Content-Type", "audio/wav"), ("Prefer", "wait=120")],
        &recording("silence.wav"),
    );
    assert_eq!(silent.is(422).json()["error"]["code"], "no-speech");
}

#[test]
fn what_is_wrong_with_a_request_is_said_with_the_field_and_the_right_status() {
    let door = door();
    let wrong = [
        (json!({ "text": "a", "picture": { "steps": 0 } }), "picture.steps"),
        (json!({ "text": "a", "picture": { "width": 100 } }), "picture.width"),
        (json!({ "text": " " }), "text"),
        (json!({ "text": "a", "audio": { "key": "audio/x" } }), "text"),
        (json!({ "text": "a", "made": "[{}]" }), "made"),
        (json!({ "text": "a", "until": "dance" }), "until"),
        (json!({ "text": "a", "id": "Not an id" }), "id"),
        (json!({ "audio": { "bytes": "" } }), "audio"),
        (json!({}), "audio"),
        (json!([1]), "job"),
    ];
    for (job, param) in wrong {
        let error = door.post("/v1/jobs", &[], &job).is(400).json();
        assert_eq!((&error["error"]["param"], &error["error"]["code"]), (&param.into(), &"bad-input".into()), "{job}");
    }
    door.send("POST", "/v1/jobs", &[("Content-Type", "application/json")], b"{").is(400);
    door.send("POST", "/v1/jobs", &[("Content-Type", "application/x-www-form-urlencoded")], b"text=a").is(415);
    door.post("/v1/jobs", &[("Prefer", "wait=soon")], &json!({ "text": "a" })).is(400);
    door.post("/v1/jobs?lane=a.b", &[], &json!({ "text": "a" })).is(400);
    for path in ["/v1/jobs/unknown", "/v1/jobs/unknown/events", "/v1/jobs/Un%20known", "/v1/jobs/unknown/pictures/0"] {
        assert_eq!(door.get(path).is(404).json()["error"]["code"], "not-found", "{path}");
    }
    door.get("/v1/nothing").is(404);
    door.send("PUT", "/v1/jobs", &[], b"").is(405);
    let large = door.send("POST", "/v1/jobs", &[("Content-Type", "audio/wav"), ("Content-Length", "99999999")], b"");
    assert_eq!(large.is(413).json()["error"]["code"], "too-large");
    // A model that no pool has is known to the worker alone.
    let dice = json!({ "text": "a", "picture": { "sampler": "dice" } });
    let error = door.post("/v1/jobs", &[("Prefer", "wait=120")], &dice).is(400).json();
    assert_eq!(error["error"]["param"], "picture.sampler", "{error}");
}

#[tokio::test]
async fn a_recording_that_no_message_holds_goes_through_the_bucket() {
    let door = door();
    // Nine MiB of a WAV file, most of them behind its end.
    let mut long = recording("cat.wav");
    long.resize(9 << 20, 0);
    let job = json!({ "until": "transcript" }).to_string();
    let parts: [(&str, Option<&str>, &[u8]); 2] = [("audio", Some("cat.wav"), &long), ("job", None, job.as_bytes())];
    let done = door.form("/v1/jobs", &[("Prefer", "wait=120")], &parts).is(200).json();
    assert!(text(&done["transcript"]["text"]).contains("cat"), "{done}");
    let key = format!("audio/{}", text(&done["id"]));
    assert!(stack().client().await.keys("audio/").await.contains(&key), "{key}");
}

#[test]
fn capabilities_tell_what_runs_and_every_route_is_in_the_document() {
    let door = door();
    let told = door.get("/v1/capabilities").is(200).json();
    let stages: Vec<_> = told["steps"].as_array().expect("a list").iter().map(|step| &step["stage"]).collect();
    assert_eq!(stages, ["transcribe", "paint"]);
    assert!(told["samplers"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == "euler-a")), "{told}");
    // Workers say what they are every five seconds.
    let said = |told: &serde_json::Value| {
        told["steps"]
            .as_array()
            .is_some_and(|steps| steps.iter().all(|step| step["workers"].as_array().is_some_and(|all| !all.is_empty())))
    };
    let mut told = told;
    for _ in 0..600 {
        if said(&told) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        told = door.get("/v1/capabilities").is(200).json();
    }
    assert!(told["steps"][1]["pools"][0]["workers"].as_u64() >= Some(1), "{told}");
    let [ear, hand] = [0, 1].map(|step| told["steps"][step]["workers"][0].clone());
    assert_eq!((&ear["worker"], &ear["pools"]), (&"ear".into(), &json!(["default"])), "{ear}");
    assert!(ear["about"]["limits"]["seconds"].as_f64() == Some(1800.0), "{ear}");
    assert_eq!(
        (&hand["about"]["recommended"]["steps"], &hand["about"]["limits"]["count"]),
        (&2.into(), &16.into()),
        "{hand}"
    );
    let topology = door.get("/v1/topology").is(200).json();
    assert_eq!(
        (&topology["steps"][1]["stage"], &topology["steps"][1]["pools"][0]["pool"]),
        (&"paint".into(), &"default".into())
    );
    let picture = door.get("/v1/topology?format=svg").is(200);
    assert_eq!(picture.header("content-type"), "image/svg+xml");
    assert!(picture.text().starts_with("<svg") && picture.text().contains("pool default"), "{}", picture.text());
    assert_eq!(door.get("/v1/topology?format=png").is(400).json()["error"]["param"], "format");
    let document = door.get("/openapi.json").is(200).json();
    for path in ["/v1/jobs", "/v1/jobs/{id}/events", "/v1/images/generations", "/sdapi/v1/txt2img"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let page = door.get("/").is(200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(page.text().contains("<script") && page.header("content-type").starts_with("text/html"));
    let docs = door.get("/docs").is(200);
    assert!(
        docs.text().contains("/page/docs.js") && docs.header("content-security-policy").contains("script-src 'self'")
    );
    door.get("/page/..%2FCargo.toml").is(404);
}
