//! Records as AWS, MinIO, RustFS and Ceph write them, and all stores that follow AWS.

use serde_json::Value;

use super::{Found, Reading, key, short};
use crate::watch::Watch;

/// What makes an object. `PutRetention`, `PutLegalHold` and `PutTagging` begin alike and make none.
const MAKERS: [&str; 4] = ["Put", "Post", "Copy", "CompleteMultipartUpload"];
/// These encode keys as forms, always.
const ENCODES: [&str; 3] = ["aws:s3", "minio:s3", "rustfs:s3"];

/// One entry of `Records`.
pub(super) fn record(record: &Value, watch: &Watch, reading: &mut Reading) {
    let text = |place: &str| record.pointer(place).and_then(Value::as_str);
    let Some(name) = text("/eventName") else { return reading.refuse("a record without eventName") };
    if let Some(version) = text("/eventVersion").filter(|version| !version.starts_with("2.")) {
        return reading.refuse(format!("eventVersion {} is not allowed; allowed: 2.x", short(version)));
    }
    let plain = name.strip_prefix("s3:").unwrap_or(name);
    if !plain.strip_prefix("ObjectCreated:").is_some_and(|how| MAKERS.contains(&how)) {
        return reading.pass(short(name));
    }
    let (Some(bucket), Some(written)) = (text("/s3/bucket/name"), text("/s3/object/key")) else {
        return reading.refuse(format!("a record of {} without bucket and key", short(name)));
    };
    let encodes = text("/eventSource").is_some_and(|source| ENCODES.contains(&source));
    let key = match key::decoded(written) {
        Some(key) => key,
        None if encodes => return reading.refuse(format!("key {} is not UTF-8", short(written))),
        None => written.to_owned(),
    };
    let as_it_stands = (!encodes && key != written && key::check(written).is_ok()).then(|| written.to_owned());
    let field = |name: &str| text(&format!("/s3/object/{name}")).filter(|value| !value.is_empty()).map(str::to_owned);
    let found = Found {
        bucket: bucket.to_owned(),
        key,
        as_it_stands,
        version: field("versionId"),
        by_version: true,
        etag: field("eTag").map(|etag| etag.trim_matches('"').to_owned()),
        sequencer: field("sequencer"),
        size: record.pointer("/s3/object/size").and_then(number),
    };
    reading.offer(watch, found);
}

/// A number, or a number as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
