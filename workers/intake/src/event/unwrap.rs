//! Takes an event out of the envelopes of queues and bridges.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::{Reading, clouds, records, short};
use crate::watch::Watch;

/// How often an event may be wrapped: S3 to SNS to SQS.
pub(super) const WRAPS: usize = 2;
/// Fields with a list of messages: SQS and Pub/Sub.
const LISTS: [&str; 2] = ["Messages", "receivedMessages"];
/// Fields in which an envelope has an event as text: SNS, SQS, and SQS as Lambda gets it.
const TEXTS: [&str; 3] = ["Message", "Body", "body"];

/// One JSON value: an event, an envelope, or a list of them. It may be unwrapped `wraps` times more.
pub(super) fn message(value: &Value, wraps: usize, watch: &Watch, reading: &mut Reading) {
    match value {
        Value::Object(fields) => object(fields, wraps, watch, reading),
        Value::Array(items) => items.iter().for_each(|item| match item {
            Value::Object(fields) => object(fields, wraps, watch, reading),
            _ => reading.refuse("a list whose entries are no objects"),
        }),
        _ => reading.refuse("no object"),
    }
}

fn object(fields: &Map<String, Value>, wraps: usize, watch: &Watch, reading: &mut Reading) {
    let list = |name: &str| fields.get(name).and_then(Value::as_array);
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if let Some(all) = list("Records") {
        if all.is_empty() {
            reading.pass("no records");
        }
        return all.iter().for_each(|entry| record(entry, wraps, watch, reading));
    }
    if let Some(messages) = LISTS.into_iter().find_map(list) {
        return messages.iter().for_each(|entry| message(entry, wraps, watch, reading));
    }
    if let Some(kind) = text("Type").filter(|kind| kind.ends_with("Confirmation")) {
        // Whoever set the topic up confirms it; an address in a message is never followed.
        return reading.pass(format!("{}: confirm it where the topic was made", short(kind)));
    }
    if text("Event") == Some("s3:TestEvent") {
        return reading.pass("a test event");
    }
    if let Some(inner) = TEXTS.into_iter().find_map(text) {
        return unwrap(inner, wraps, watch, reading);
    }
    if let Some(Value::Object(message)) = fields.get("message") {
        return pub_sub(message, watch, reading);
    }
    clouds::event(fields, watch, reading);
}

/// An entry of `Records`: one of S3's own, or a message as Lambda gets it from SQS or SNS.
fn record(entry: &Value, wraps: usize, watch: &Watch, reading: &mut Reading) {
    let text = |place: &str| entry.pointer(place).and_then(Value::as_str);
    match text("/body").or_else(|| text("/Sns/Message")) {
        Some(inner) if entry.get("s3").is_none() => unwrap(inner, wraps, watch, reading),
        _ => records::record(entry, watch, reading),
    }
}

fn unwrap(text: &str, wraps: usize, watch: &Watch, reading: &mut Reading) {
    if wraps == 0 {
        return reading.refuse(format!("wrapped more than {WRAPS} times"));
    }
    match serde_json::from_str(text) {
        Ok(value) => message(&value, wraps - 1, watch, reading),
        Err(error) => reading.refuse(format!("no JSON in the envelope: {error}")),
    }
}

/// Google Pub/Sub: attributes say what happened; the data, if any, is the object.
fn pub_sub(message: &Map<String, Value>, watch: &Watch, reading: &mut Reading) {
    let data = message.get("data").and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let data: Option<Value> = data.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match message.get("attributes") {
        Some(Value::Object(attributes)) => clouds::google(attributes, data.as_ref(), watch, reading),
        _ => reading.refuse("a Pub/Sub message without attributes"),
    }
}
