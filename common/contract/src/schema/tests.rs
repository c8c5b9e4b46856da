use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use time::OffsetDateTime;

use super::*;
use crate::audio::{AudioJob, AudioSource, Task};
use crate::event::{KEPT_KINDS, PASSING_KINDS};
use crate::id::JobId;
use crate::job::{Job, JobMeta, TextJob};
use crate::picture::PictureSpec;

/// Every field of a job: one that is new has to be named here, and then has to have a schema.
fn meta() -> JobMeta {
    let picture = PictureSpec {
        model: Some("sdxl".into()),
        width: Some(64),
        height: Some(64),
        shape: Some("wide".into()),
        steps: Some(2),
        guidance: Some(7.5),
        negative: "people".into(),
        seed: Some(7),
        count: Some(1),
        sampler: Some("ddim".into()),
        format: Some("png".into()),
        syntax: Some("plain".into()),
        loras: vec![("ink".into(), 0.8)],
        extra: Vec::new(),
    };
    JobMeta {
        id: Some(JobId::parse("id", "cat-1").unwrap()),
        picture,
        until: Some("paint".into()),
        deadline: Some(OffsetDateTime::UNIX_EPOCH),
        start_before: Some(OffsetDateTime::UNIX_EPOCH),
        attempts: Some(1),
        labels: BTreeMap::from([("tenant".to_owned(), "a".to_owned())]),
        // The pipeline's own, which no sender writes.
        made: Vec::new(),
        extra: Vec::new(),
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn written(job: &impl Job) -> Value {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &job.to_value()).unwrap();
    rmp_value(&bytes)
}

fn rmp_value(bytes: &[u8]) -> Value {
    serde_json::to_value(rmpv::decode::read_value(&mut &bytes[..]).unwrap()).unwrap()
}

#[test]
fn the_schema_of_a_job_has_the_fields_of_the_job_and_no_other() {
    let audio = AudioJob {
        audio: AudioSource::Stored { key: "audio/a".into(), sha256: Some("0".repeat(64)) },
        language: Some("en".into()),
        task: Task::Auto,
        hint: Some("names".into()),
        whisper: Some("large".into()),
        voice: true,
        meta: meta(),
    };
    let all = definitions();
    let properties = |name: &str| all[name]["properties"].clone();
    let (spoken, typed) = (written(&audio), written(&TextJob { text: "a cat".into(), meta: meta() }));
    assert_eq!(keys(&spoken), keys(&properties("AudioJob")));
    let mut own = properties("TextJob");
    own.as_object_mut().unwrap().remove("voice");
    assert_eq!(keys(&typed), keys(&own));
    assert_eq!(keys(&typed["picture"]), keys(&properties("Picture")));
    // And the reader knows every one of them.
    let read: AudioJob = crate::wire::decode(None, Bytes::from(spoken.to_string())).unwrap();
    assert!(read.meta.extra.is_empty() && read.meta.picture.extra.is_empty(), "{read:?}");
}

#[test]
fn every_kind_of_event_has_a_schema_and_every_reference_leads_somewhere() {
    let all = definitions();
    let kinds: BTreeSet<&str> = all["Event"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["properties"]["kind"]["const"].as_str())
        .collect();
    assert_eq!(kinds, KEPT_KINDS.into_iter().chain(PASSING_KINDS).collect());
    let document = document();
    let (mut open, mut seen) = (vec![&document], 0);
    while let Some(value) = open.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            seen += 1;
        }
        open.extend(value.as_object().into_iter().flat_map(Map::values));
        open.extend(value.as_array().into_iter().flatten());
    }
    assert!(seen > 8 && !document.to_string().contains("[`"), "{seen}");
    assert!(!Value::Object(definitions_at("#/components/schemas/")).to_string().contains(DEFINITIONS));
}
