//! What the three forms mean, and what is refused in which words.

use bytes::Bytes;
use rmpv::Value;
use serde_json::json;

use super::{JSON, MSGPACK, decode, encode};
use crate::job::{AudioJob, AudioSource, Task, TextJob, Until};
use crate::message::Message;

fn text(payload: impl Into<Bytes>) -> Result<TextJob, String> {
    decode(None, payload.into()).map_err(|error| error.to_string())
}

fn audio(payload: impl Into<Bytes>) -> Result<AudioJob, String> {
    decode(None, payload.into()).map_err(|error| error.to_string())
}

fn packed(value: &serde_json::Value) -> Vec<u8> {
    let value: Value = serde_json::from_value(value.clone()).unwrap();
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &value).unwrap();
    bytes
}

#[test]
fn raw_json_and_msgpack_mean_the_same() {
    let object = json!({ "text": "a cat" });
    let raw = text("a cat").unwrap();
    assert_eq!(raw, text(object.to_string()).unwrap());
    assert_eq!(raw, text(packed(&object)).unwrap());
}

#[test]
fn raw_audio_is_the_recording_itself() {
    let job = audio(&b"OggS\0\x02"[..]).unwrap();
    assert_eq!(job.audio, AudioSource::Inline(Bytes::from_static(b"OggS\0\x02")));
    assert_eq!((job.task, job.until), (Task::Auto, Until::Picture));
}

#[test]
fn the_content_type_wins_over_the_first_bytes() {
    let job: TextJob = decode(Some("text/plain; charset=utf-8"), Bytes::from_static(b"{a curly cat")).unwrap();
    assert_eq!(job.text, "{a curly cat");
    let error = decode::<TextJob>(Some(MSGPACK), Bytes::from_static(b"{}")).unwrap_err();
    assert_eq!(error.field, "payload");
    let error = decode::<TextJob>(Some(JSON), Bytes::from_static(b"a cat")).unwrap_err();
    assert_eq!(error.field, "payload");
}

#[test]
fn text_in_scripts_whose_bytes_look_like_msgpack_stays_text() {
    // U+07C1 (NKo) begins with 0xdf, U+0780 (Thaana) with 0xde.
    assert_eq!(text("\u{7c1}\u{7c2}").unwrap().text, "\u{7c1}\u{7c2}");
    assert_eq!(text("\u{780}\u{781}").unwrap().text, "\u{780}\u{781}");
}

#[test]
fn s02_an_object_has_at_most_a_thousand_fields_and_sixty_four_labels() {
    let many = |count: usize| (0..count).map(|n| (format!("f{n}"), json!("x"))).collect::<serde_json::Map<_, _>>();
    let mut fields = many(999);
    fields.insert("text".into(), json!("a cat"));
    assert_eq!(text(packed(&json!(fields))).unwrap().common.extra.len(), 999);
    fields.insert("more".into(), json!(1));
    assert_eq!(
        text(packed(&json!(fields))).unwrap_err(),
        "job: 1001 fields is not allowed; allowed: at most 1000 fields"
    );
    let labelled = |count| text(packed(&json!({ "text": "a cat", "labels": many(count) })));
    assert_eq!(labelled(64).unwrap().common.labels.len(), 64);
    assert_eq!(labelled(65).unwrap_err(), "labels: 65 labels is not allowed; allowed: at most 64");
}

#[test]
fn a_number_goes_from_stage_to_stage_without_losing_its_last_bit() {
    // Found by fuzzing: the JSON of the next job was read one unit in the last place lower.
    let number = 1.031_865_770_634_838_1e-134;
    let job = text(packed(&json!({ "text": "a cat", "picture": { "guidance": number } }))).unwrap();
    let (content_type, payload) = encode(&job);
    assert_eq!(decode::<TextJob>(Some(content_type), payload).unwrap(), job);
}

#[test]
fn a_whole_job_survives_both_forms() {
    let object = json!({
        "id": "a-1", "text": "high mountains", "deadline": "2027-01-01T00:00:00Z", "labels": { "tenant": "a" },
        "picture": { "model": "default", "width": 512, "height": 256, "steps": 20, "guidance": 7.5,
            "negative": "fog", "seed": 42, "count": 2, "sampler": "euler-a", "format": "jpg", "mood": "calm" },
        "future": { "deep": [1, 2.5, null] },
    });
    let job = text(object.to_string()).unwrap();
    assert_eq!(job.common.picture.format.as_deref(), Some("jpeg"));
    let (content_type, payload) = encode(&job);
    assert_eq!(content_type, JSON);
    let again: TextJob = decode(Some(content_type), payload).unwrap();
    assert_eq!(job, again);
    let passed_on: serde_json::Value = serde_json::to_value(again.to_value()).unwrap();
    assert_eq!(passed_on["future"], object["future"]);
    assert_eq!(passed_on["picture"]["mood"], "calm");
}

#[test]
fn inline_audio_travels_as_msgpack_and_as_base64() {
    let object = json!({ "audio": { "bytes": "T2dnUw==" } });
    let job = audio(object.to_string()).unwrap();
    assert_eq!(job.audio, AudioSource::Inline(Bytes::from_static(b"OggS")));
    let (content_type, payload) = encode(&job);
    assert_eq!(content_type, MSGPACK);
    assert_eq!(decode::<AudioJob>(None, payload).unwrap(), job);
}

#[test]
fn s01_a_broken_object_is_refused_at_every_length() {
    let object = json!({ "text": "a cat", "picture": { "steps": 20 } });
    let (as_json, as_packed) = (object.to_string(), packed(&object));
    for end in 1..as_json.len() {
        assert!(text(as_json[..end].to_owned()).is_err(), "JSON cut at {end}");
    }
    for end in 1..as_packed.len() {
        let cut = as_packed[..end].to_vec();
        assert!(decode::<TextJob>(Some(MSGPACK), cut.into()).is_err(), "MessagePack cut at {end}");
    }
}

#[test]
fn s01_nothing_may_follow_the_object() {
    let object = json!({ "text": "a cat" });
    assert!(text(format!("{object} {{}}")).unwrap_err().starts_with("payload:"));
    let mut bytes = packed(&object);
    bytes.push(0xc0);
    let error = text(bytes).unwrap_err();
    assert!(error.contains("1 bytes after the object"), "{error}");
}

#[test]
fn s02_deep_nesting_and_claims_of_gigabytes_are_refused() {
    let deep = format!("{{\"text\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(text(deep).unwrap_err().contains("recursion limit"));
    let mut deep = vec![0x81, 0xa4, b't', b'e', b'x', b't'];
    deep.extend(std::iter::repeat_n(0x91, 200_000));
    assert!(text(deep).is_err());
    for claim in [0xdd_u8, 0xdb, 0xc6, 0xdf] {
        let lying = [&[0x81, 0xa4][..], b"text", &[claim, 0xff, 0xff, 0xff, 0xff]].concat();
        assert!(text(lying).is_err(), "{claim:#x}");
    }
}

#[test]
fn an_error_names_the_field_its_value_and_what_is_allowed() {
    let long = "x".repeat(100_000);
    let table = [
        (json!({}), "text: (missing) is not allowed; allowed: the text to paint"),
        (json!({ "text": "" }), "text: (empty) is not allowed; allowed: at least one visible character"),
        (json!({ "text": 7 }), "text: 7 is not allowed; allowed: a string of valid Unicode"),
        (json!({ "text": long }), "text: 100000 characters is not allowed; allowed: at most 20000 characters"),
        (
            json!({ "text": "a", "id": "../x" }),
            "id: ../x is not allowed; allowed: 1 to 64 characters of a-z, 0-9 and -",
        ),
        (json!({ "text": "a", "picture": 3 }), "picture: 3 is not allowed; allowed: an object"),
        (
            json!({ "text": "a", "picture": { "steps": 0 } }),
            "picture.steps: 0 is not allowed; allowed: a whole number from 1 to 1000",
        ),
        (
            json!({ "text": "a", "picture": { "width": 65 } }),
            "picture.width: 65 is not allowed; allowed: a multiple of 8 from 8 to 4096",
        ),
        (
            json!({ "text": "a", "picture": { "height": -8 } }),
            "picture.height: -8 is not allowed; allowed: a whole number from 8 to 4096",
        ),
        (
            json!({ "text": "a", "picture": { "count": 2_147_483_648_u64 } }),
            "picture.count: 2147483648 is not allowed; allowed: a whole number from 1 to 64",
        ),
        (
            json!({ "text": "a", "picture": { "format": "gif" } }),
            "picture.format: gif is not allowed; allowed: png, jpeg or webp",
        ),
        (
            json!({ "text": "a", "deadline": "tomorrow" }),
            "deadline: tomorrow is not allowed; allowed: a time as 2027-01-01T00:00:00Z (RFC 3339)",
        ),
        (
            json!({ "text": "a", "labels": { "n": 1 } }),
            "labels.n: 1 is not allowed; allowed: a string of at most 256 bytes",
        ),
    ];
    for (object, expected) in table {
        assert_eq!(text(object.to_string()).unwrap_err(), expected);
        assert_eq!(text(packed(&object)).unwrap_err(), expected);
    }
}

#[test]
fn s10_audio_comes_from_the_own_bucket_and_nowhere_else() {
    let keys = [
        "../secret",
        "audio/../jobs/x",
        "/audio/x",
        "audio/",
        "audio//x",
        "jobs/x/0.png",
        "audio/%2e%2e/x",
        "audio/a\\b",
        "audio/a\0",
        "http://169.254.169.254/latest",
        "audio/аbc",
    ];
    for key in keys {
        let error = audio(json!({ "audio": { "key": key } }).to_string()).unwrap_err();
        assert!(error.starts_with("audio.key: "), "{key}: {error}");
    }
    assert!(audio(json!({ "audio": { "key": "audio/2027/a-b_c.ogg" } }).to_string()).is_ok());
    assert!(audio(json!({ "audio": { "url": "http://localhost/" } }).to_string()).is_err());
    assert!(audio(Bytes::new()).unwrap_err().contains("0 bytes"));
}

#[test]
fn s10_a_name_that_could_leave_its_folder_is_no_name() {
    let long = "a".repeat(2048);
    let names = ["../x", "%2e%2e", "a\\b", "a\0b", "/etc", "a/b", "a.b", "A", "\u{430}bc", "a b", "*", ">", "", &long];
    for name in names {
        let error = text(json!({ "text": "a", "id": name }).to_string()).unwrap_err();
        assert!(error.starts_with("id: ") && error.contains("1 to 64 characters of a-z, 0-9 and -"), "{name}: {error}");
        assert!(crate::message::header_id(name).is_err(), "{name}");
    }
}

#[test]
fn s31_an_error_stays_on_one_line_and_short() {
    let object = json!({ "text": "a", "id": format!("\r\n\u{202e}{}", "x".repeat(10_000)) });
    let error = text(object.to_string()).unwrap_err();
    assert!(error.len() < 300 && !error.contains(['\r', '\n']), "{error}");
}
