use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

fn cases() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn watch() -> Watch {
    Watch::new("recordings", "", Some(""), None).unwrap()
}

fn payload(name: &str) -> Vec<u8> {
    std::fs::read(cases().join(format!("{name}.json"))).unwrap()
}

/// A job in the words of `expected.json`.
fn job(found: &Found) -> Value {
    let mut job = json!({ "bucket": found.bucket, "key": found.key, "size": found.size });
    for (name, value) in [("version", &found.version), ("sequencer", &found.sequencer)] {
        if let Some(value) = value {
            job[name] = value.as_str().into();
        }
    }
    job
}

#[test]
fn every_form_of_an_event_is_read_as_it_is_meant() {
    let expected = std::fs::read(cases().join("expected.json")).unwrap();
    let mut expected: BTreeMap<String, Value> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), 56);
    let many: Vec<Value> = (0..200).map(|n| json!(format!("audio/{n}.wav"))).collect();
    expected.remove("big-two-hundred-records").unwrap();
    for (name, case) in expected {
        let read = read(&payload(&name), &watch());
        let jobs: Vec<Value> = read.found.iter().map(job).collect();
        assert_eq!(Value::from(jobs), case["jobs"], "{name}: {}; {:?}", case["why"], read.notes);
        assert!(!read.found.is_empty() || !read.notes.is_empty(), "{name}: nothing said");
    }
    let read = read(&payload("big-two-hundred-records"), &watch());
    let keys: Vec<Value> = read.found.iter().map(|found| found.key.as_str().into()).collect();
    assert_eq!(keys, many);
}

#[test]
fn what_cannot_be_read_is_refused_and_what_is_not_meant_for_us_is_passed_over() {
    let refused = [
        ("aws-3.0-unknown-major", "eventVersion 3.0 is not allowed"),
        ("azure-not-s3", "no event of a bucket"),
        ("bad-no-records", "no event of a bucket"),
        ("bad-cut", "no JSON: "),
        ("bad-key-escape", "leads out of its folder"),
        ("bad-percent", "not UTF-8"),
        ("bad-types", "without eventName"),
        ("bad-deep-wrapping", "wrapped more than 2 times"),
    ];
    for entry in std::fs::read_dir(cases()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap().replace(".json", "");
        if name == "expected" {
            continue;
        }
        let why = refused.iter().find(|(case, _)| *case == name).map(|(_, why)| *why);
        let read = read(&payload(&name), &watch());
        match (read.refused(), why) {
            (None, None) => {}
            (Some(said), Some(why)) => assert!(said.contains(why), "{name}: {said}"),
            (said, why) => panic!("{name}: {said:?} instead of {why:?}"),
        }
    }
}

#[test]
fn ceph_may_mean_the_key_as_it_stands() {
    let text = String::from_utf8(payload("ceph-rgw")).unwrap().replace("my voice", "1+1%20");
    let read = read(text.as_bytes(), &watch());
    assert_eq!(
        (&*read.found[0].key, read.found[0].as_it_stands.as_deref()),
        ("audio/1 1 .ogg", Some("audio/1+1%20.ogg"))
    );
}

#[test]
fn strangers_bytes_neither_panic_nor_grow() {
    let deep = "[".repeat(100_000);
    let wide = format!("[{}]", vec!["[]"; 200_000].join(","));
    let large = vec![b' '; MAX_BYTES + 1];
    for bytes in [deep.as_bytes(), wide.as_bytes(), &large, b"", b"\xff\xfe", b"null", b"7", b"\"x\""] {
        assert!(read(bytes, &watch()).refused().is_some());
    }
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(read(nested.as_bytes(), &watch()).refused().is_some());
    // Every beginning of every sample, and each with a byte turned.
    for entry in std::fs::read_dir(cases()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for at in (0..bytes.len().min(4000)).step_by(7) {
            read(&bytes[..at], &watch());
            let mut turned = bytes.clone();
            turned[at] ^= 0x15;
            read(&turned, &watch());
        }
    }
}
