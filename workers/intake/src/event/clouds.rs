//! Events that are not S3's: EventBridge, Google Cloud Storage, Cloudflare R2, Backblaze B2. None
//! of them encodes keys.

use serde_json::{Map, Value};

use super::records::number;
use super::{Found, Reading, short};
use crate::watch::Watch;

/// How the type of Google's CloudEvents begins; `.finalized` follows for an object that is there.
const GOOGLE: &str = "google.cloud.storage.object.v1.";
/// Actions of R2 that make an object.
const R2: [&str; 3] = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

/// One event that is no list of records.
pub(super) fn event(fields: &Map<String, Value>, watch: &Watch, reading: &mut Reading) {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if let (Some("aws.s3"), Some(kind), Some(detail)) = (text("source"), text("detail-type"), fields.get("detail")) {
        return bridge(kind, detail, watch, reading);
    }
    if let Some(kind) = text("type").and_then(|kind| kind.strip_prefix(GOOGLE)) {
        return match fields.get("data") {
            Some(object) if kind == "finalized" => google_object(object, watch, reading),
            Some(_) => reading.pass(short(kind)),
            None => reading.refuse("a CloudEvent without data"),
        };
    }
    if let (Some(action), Some(bucket), Some(object)) = (text("action"), text("bucket"), fields.get("object")) {
        return r2((action, bucket), object, watch, reading);
    }
    if let Some(events) = fields.get("events").and_then(Value::as_array) {
        return events.iter().for_each(|event| b2(event, watch, reading));
    }
    reading.refuse("no event of a bucket in a form that is known");
}

fn bridge(kind: &str, detail: &Value, watch: &Watch, reading: &mut Reading) {
    if kind != "Object Created" {
        return reading.pass(short(kind));
    }
    let object = detail.get("object").unwrap_or(&Value::Null);
    let Some(bucket) = detail.pointer("/bucket/name").and_then(Value::as_str) else {
        return reading.refuse("an event of EventBridge without a bucket");
    };
    offer(Found { version: own(object, "version-id"), by_version: true, ..described(bucket, object) }, watch, reading);
}

/// What Pub/Sub says in the attributes of a message, and the object if the message has it.
pub(super) fn google(attributes: &Map<String, Value>, data: Option<&Value>, watch: &Watch, reading: &mut Reading) {
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("eventType") != "OBJECT_FINALIZE" {
        return match text("eventType") {
            "" => reading.refuse("a Pub/Sub message without eventType"),
            other => reading.pass(short(other)),
        };
    }
    let found = Found {
        bucket: text("bucketId").to_owned(),
        key: text("objectId").to_owned(),
        version: Some(text("objectGeneration").to_owned()).filter(|version| !version.is_empty()),
        size: data.and_then(|object| number(object.get("size")?)),
        ..Found::default()
    };
    reading.offer(watch, found);
}

fn google_object(object: &Value, watch: &Watch, reading: &mut Reading) {
    let text = |name: &str| own(object, name).unwrap_or_default();
    let size = object.get("size").and_then(number);
    let found = Found {
        bucket: text("bucket"),
        key: text("name"),
        version: own(object, "generation"),
        size,
        ..Found::default()
    };
    reading.offer(watch, found);
}

fn r2((action, bucket): (&str, &str), object: &Value, watch: &Watch, reading: &mut Reading) {
    match R2.contains(&action) {
        true => offer(described(bucket, object), watch, reading),
        false => reading.pass(short(action)),
    }
}

fn b2(event: &Value, watch: &Watch, reading: &mut Reading) {
    let text = |name: &str| own(event, name).unwrap_or_default();
    let kind = text("eventType");
    let Some(how) = kind.strip_prefix("b2:") else { return reading.refuse("an event without eventType of B2") };
    match how.strip_prefix("ObjectCreated:") {
        Some(how) if how != "MetadataReplication" => reading.offer(
            watch,
            Found {
                bucket: text("bucketName"),
                key: text("objectName"),
                version: own(event, "objectVersionId"),
                by_version: true,
                size: event.get("objectSize").and_then(number),
                ..Found::default()
            },
        ),
        _ => reading.pass(short(&kind)),
    }
}

fn offer(found: Found, watch: &Watch, reading: &mut Reading) {
    match found.key.is_empty() {
        true => reading.refuse("an event without a key"),
        false => reading.offer(watch, found),
    }
}

/// An object with the fields that most stores have.
fn described(bucket: &str, object: &Value) -> Found {
    let etag = own(object, "eTag").or_else(|| own(object, "etag"));
    Found {
        bucket: bucket.to_owned(),
        key: own(object, "key").unwrap_or_default(),
        etag: etag.map(|etag| etag.trim_matches('"').to_owned()),
        sequencer: own(object, "sequencer"),
        size: object.get("size").and_then(number),
        ..Found::default()
    }
}

fn own(object: &Value, name: &str) -> Option<String> {
    object.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
