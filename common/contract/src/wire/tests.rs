//! What the three forms mean, and what is refused in which words.

use bytes::Bytes;
use rmpv::Value;
use serde_json::json;

use super::{JSON, MSGPACK, Name, decode, encode, name};
use crate::job::{AudioJob, AudioSource, Job, JobId, Task, TextJob};

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
    assert_eq!((job.task, job.meta.until), (Task::Auto, None));
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
    assert_eq!(text(packed(&json!(fields))).unwrap().meta.extra.len(), 999);
    fields.insert("more".into(), json!(1));
    assert_eq!(
        text(packed(&json!(fields))).unwrap_err(),
        "job: 1001 fields is not allowed; allowed: at most 1000 fields"
    );
    let labelled = |count| text(packed(&json!({ "text": "a cat", "labels": many(count) })));
    assert_eq!(labelled(64).unwrap().meta.labels.len(), 64);
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
    assert_eq!(job.meta.picture.format.as_deref(), Some("jpeg"));
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
            "deadline: tomorrow is not allowed; allowed: a time as 2027-01-01T00:00:00Z (RFC 3339), or a MessagePack timestamp",
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
fn s10_a_key_is_what_s3_allows_and_never_a_way_out_of_the_bucket() {
    let long = format!("audio/{}", "x".repeat(1024));
    for key in ["../secret", "audio/../jobs/x", "/audio/x", "audio/./x", "audio/a\0", "audio/a\nb", "", &long] {
        let error = audio(json!({ "audio": { "key": key } }).to_string()).unwrap_err();
        assert!(error.starts_with("audio.key: "), "{key}: {error}");
    }
    for key in ["audio/2027/a-b_c.ogg", "inbox/my note +1.ogg", "录音/晨.m4a", "audio/100%.wav"] {
        assert!(audio(json!({ "audio": { "key": key } }).to_string()).is_ok(), "{key}");
    }
    assert!(audio(json!({ "audio": { "url": "http://localhost/" } }).to_string()).is_err());
    assert!(audio(Bytes::new()).unwrap_err().contains("0 bytes"));
}

#[test]
fn base64_is_read_as_people_have_it() {
    let sound: Vec<u8> = (0..=255).collect();
    let plain = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &sound);
    let wrapped = plain.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line) + "\r\n").collect::<String>();
    let url_safe = plain.replace('+', "-").replace('/', "_");
    let forms = [plain.clone(), wrapped, url_safe, plain.trim_end_matches('=').to_owned()];
    let address = format!("data:audio/ogg;codecs=opus;base64,{plain}");
    for form in forms.into_iter().chain([address]) {
        let job = audio(json!({ "audio": { "bytes": form } }).to_string()).unwrap();
        assert_eq!(job.audio, AudioSource::Inline(sound.clone().into()), "{form}");
    }
    for wrong in ["data:audio/ogg,abc", "a*b", "a"] {
        assert!(audio(json!({ "audio": { "bytes": wrong } }).to_string()).unwrap_err().starts_with("audio.bytes: "));
    }
}

#[test]
fn a_language_that_is_to_be_detected_is_none() {
    for word in ["", "auto", "AUTO"] {
        let job = audio(json!({ "audio": { "key": "audio/x" }, "language": word }).to_string()).unwrap();
        assert_eq!(job.language, None, "{word}");
    }
}

#[test]
fn a_deadline_is_text_or_a_timestamp_of_messagepack() {
    let of = |deadline: Value| {
        let object = Value::Map(vec![("text".into(), "a cat".into()), ("deadline".into(), deadline)]);
        let mut payload = Vec::new();
        rmpv::encode::write_value(&mut payload, &object).unwrap();
        text(payload).map(|job| job.meta.deadline.unwrap().unix_timestamp())
    };
    let seconds = 1_893_456_000_i64; // 2030-01-01T00:00:00Z
    let forms = [
        Value::from("2030-01-01T00:00:00Z"),
        Value::Ext(-1, (seconds as u32).to_be_bytes().to_vec()),
        Value::Ext(-1, ((500_u64 << 34) | seconds as u64).to_be_bytes().to_vec()),
        Value::Ext(-1, [&500_u32.to_be_bytes()[..], &seconds.to_be_bytes()[..]].concat()),
    ];
    for form in forms {
        assert_eq!(of(form.clone()), Ok(seconds), "{form}");
    }
    for wrong in [Value::Ext(-1, vec![0; 5]), Value::Ext(3, vec![0; 4]), Value::from("soon"), Value::from(seconds)] {
        assert!(of(wrong.clone()).unwrap_err().starts_with("deadline: "), "{wrong}");
    }
}

#[test]
fn d1_a_job_keeps_its_name_whatever_else_is_wrong() {
    let cat = Name::Own(JobId::parse("id", "cat-1").unwrap());
    let wrong = json!({ "id": "cat-1", "text": 7, "picture": { "steps": 0 }, "deadline": "soon" });
    assert_eq!(name(None, wrong.to_string().as_bytes()), cat);
    assert_eq!(name(None, &packed(&wrong)), cat);
    assert_eq!(name(None, b"{\"id\":\"cat-1\",\"id\":\"cat-1\"}"), cat);
    assert_eq!(name(None, b"a cat"), Name::Absent);
    assert_eq!(name(Some("text/plain"), b"{\"id\":\"cat-1\"}"), Name::Absent);
    assert!(matches!(name(None, b"{\"id\":\"Cat\"}"), Name::Wrong(_)));
    assert!(matches!(name(None, b"{\"id\":7}"), Name::Wrong(_)));
}

#[test]
fn d2_what_stages_made_survives_the_way_and_only_as_the_pipeline_writes_it() {
    let mut job = text("a cat").unwrap();
    job.meta.made = vec![crate::made::Made::new(vec![], json!({ "language": "en", "p": 0.1 }))];
    let digest = crate::made::Made::digest(&job.meta.made);
    let (content_type, payload) = encode(&job);
    let read = decode::<TextJob>(Some(content_type), payload).unwrap();
    assert_eq!(crate::made::Made::digest(&read.meta.made), digest);
    let error = text(json!({ "text": "a", "made": [{ "stage": "transcribe" }] }).to_string()).unwrap_err();
    assert!(error.starts_with("made: "), "{error}");
}

#[test]
fn s10_a_name_that_could_leave_its_folder_is_no_name() {
    let long = "a".repeat(2048);
    let names = ["../x", "%2e%2e", "a\\b", "a\0b", "/etc", "a/b", "a.b", "A", "\u{430}bc", "a b", "*", ">", "", &long];
    for name in names {
        let error = text(json!({ "text": "a", "id": name }).to_string()).unwrap_err();
        assert!(error.starts_with("id: ") && error.contains("1 to 64 characters of a-z, 0-9 and -"), "{name}: {error}");
    }
}

#[test]
fn s31_an_error_stays_on_one_line_and_short() {
    let object = json!({ "text": "a", "id": format!("\r\n\u{202e}{}", "x".repeat(10_000)) });
    let error = text(object.to_string()).unwrap_err();
    assert!(error.len() < 300 && !error.contains(['\r', '\n']), "{error}");
}
