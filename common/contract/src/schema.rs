//! JSON Schema (2020-12) of what travels. What is read by serde has the schema of its type; jobs are
//! read field by field, so their schemas stand here, with the limits of the reader.

use std::ops::RangeInclusive;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::audio::MAX_KEY;
use crate::event::{Event, FINAL_KINDS};
use crate::fields::MAX_NAME;
use crate::job::{LABEL, MAX_ATTEMPTS, MAX_LABELS, MAX_TEXT};
use crate::made::Made;
use crate::picture::{COUNT, FORMATS, GRID, GUIDANCE, MAX_LORAS, SHAPES, SIDE, STEPS, SYNTAXES, WEIGHT};

/// The version of JSON Schema.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// RFC 3339, for validators that do not look at formats.
const TIME: &str = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$";
/// Where schemas refer to each other.
pub(crate) const DEFINITIONS: &str = "#/$defs/";

/// Every schema in one document, by name: `AudioJob`, `TextJob`, `Picture`, `CloudEvent`, `Event`,
/// `Receipt`, `End` and what they are made of.
pub fn document() -> Value {
    json!({
        "$schema": DIALECT,
        "title": "Shanshui",
        "description": "Take one by its name: #/$defs/AudioJob, #/$defs/TextJob, #/$defs/CloudEvent, …",
        "$defs": definitions(),
    })
}

/// The schemas, by name.
pub fn definitions() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<Event>();
    generator.subschema_for::<Made>();
    let mut all = generator.take_definitions(true);
    let own = [
        ("AudioJob", audio_job()),
        ("AudioFields", audio_fields()),
        ("TextJob", text_job()),
        ("Picture", picture()),
        ("CloudEvent", cloud_event()),
        ("Receipt", receipt()),
        ("End", end()),
        ("Cancel", cancel()),
    ];
    all.extend(own.map(|(name, schema)| (name.to_owned(), schema)));
    all
}

/// The same schemas below another address, as documents of other kinds have them.
pub fn definitions_at(address: &str) -> Map<String, Value> {
    let mut all = Value::Object(definitions());
    move_to(address, &mut all);
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn move_to(address: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(DEFINITIONS)
            {
                *reference = format!("{address}{name}");
            }
            fields.values_mut().for_each(|value| move_to(address, value));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| move_to(address, value)),
        _ => {}
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{DEFINITIONS}{name}") })
}

/// A field that may be null, which counts as absent.
fn optional(kind: &str, about: &str, more: Value) -> Value {
    with(json!({ "type": [kind, "null"], "description": about }), more)
}

fn with(mut schema: Value, more: Value) -> Value {
    if let (Some(schema), Value::Object(more)) = (schema.as_object_mut(), more) {
        schema.extend(more);
    }
    schema
}

fn words(about: &str, all: &[&str]) -> Value {
    let all: Vec<Value> = all.iter().map(|word| json!(word)).chain([Value::Null]).collect();
    json!({ "enum": all, "description": about })
}

fn within<T: Copy + Into<Value>>(range: &RangeInclusive<T>) -> Value {
    let (least, most): (Value, Value) = ((*range.start()).into(), (*range.end()).into());
    json!({ "minimum": least, "maximum": most })
}

fn name(about: &str) -> Value {
    optional("string", about, json!({ "minLength": 1, "maxLength": MAX_NAME }))
}

fn shared() -> Value {
    let id = json!({ "pattern": "^[a-z0-9-]{1,64}$" });
    let time = json!({ "format": "date-time", "pattern": TIME });
    let labels = json!({
        "maxProperties": MAX_LABELS,
        "propertyNames": { "maxLength": LABEL.0 },
        "additionalProperties": { "type": "string", "maxLength": LABEL.1 },
    });
    json!({
        "id": optional("string", "The name of the job; absent: made from the stream and the sequence", id),
        "until": name("The stage after which the job is complete, or what it makes; absent: the last one"),
        "picture": { "anyOf": [reference("Picture"), { "type": "null" }] },
        "deadline": optional("string", "The job fails if it is not done by then", time.clone()),
        "start_before": optional("string", "The job fails if no worker has begun it by then", time),
        "attempts": optional("integer", "At each stage; absent: as the workers are set", within(&(1..=MAX_ATTEMPTS))),
        "labels": optional("object", "Copied to events and the receipt", labels),
    })
}

fn audio() -> Value {
    let key = json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY, "description": "Its key in the bucket" });
    let bytes = json!({ "type": "string", "minLength": 1, "contentEncoding": "base64" });
    let sha256 = optional("string", "Checked if given", json!({ "pattern": "^[0-9a-fA-F]{64}$" }));
    json!({
        "description": "The recording: in the bucket, or in the job itself",
        "type": "object",
        "properties": { "key": key, "bytes": bytes, "sha256": sha256 },
        "oneOf": [{ "required": ["key"] }, { "required": ["bytes"] }],
    })
}

/// A job with a recording that travels beside it.
fn audio_fields() -> Value {
    let language = "Language spoken, as a code or an English name; absent or \"auto\": detected";
    let own = json!({
        "language": optional("string", language, json!({ "maxLength": 32 })),
        "task": words("auto translates what the picture model cannot read", &["auto", "transcribe", "translate"]),
        "hint": optional("string", "Names and jargon: Whisper's initial prompt", json!({})),
        "whisper": name("The speech model, by the name of its pool"),
        "voice": optional("boolean", "Spoken wishes become settings", json!({})),
    });
    json!({ "type": "object", "properties": with(own, shared()) })
}

fn audio_job() -> Value {
    let mut schema = audio_fields();
    schema["properties"]["audio"] = audio();
    with(schema, json!({ "description": "A recording to be understood, and perhaps painted", "required": ["audio"] }))
}

fn text_job() -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": "\\S" });
    let properties = with(json!({ "text": text, "voice": words("Nobody speaks in a text", &[]) }), shared());
    let mut schema = json!({ "description": "A text to be painted", "type": "object", "required": ["text"] });
    schema["properties"] = properties;
    schema["properties"]["voice"]["enum"] = json!([false, null]);
    schema
}

fn picture() -> Value {
    let side = with(within(&SIDE), json!({ "multipleOf": GRID }));
    let lora = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": MAX_NAME },
            "weight": optional("number", "How strongly it counts; absent: 1", within(&WEIGHT)),
        },
    });
    let loras = json!({ "maxItems": MAX_LORAS, "items": lora });
    json!({
        "description": "Wishes for the pictures; what is absent is as the model recommends",
        "type": "object",
        "properties": {
            "model": name("The picture model, by the name of its pool"),
            "width": optional("integer", "In pixels", side.clone()),
            "height": optional("integer", "In pixels", side),
            "shape": words("In the model's own size, where no side is given", &SHAPES),
            "steps": optional("integer", "Denoising steps", within(&STEPS)),
            "guidance": optional("number", "How strongly the text counts; 1 or less switches it off", within(&GUIDANCE)),
            "negative": optional("string", "What the picture should not show", json!({})),
            "seed": optional("integer", "Absent: made from the job's name, and written down", within(&(0..=u64::MAX))),
            "count": optional("integer", "Number of pictures", within(&COUNT)),
            "sampler": name("By its name in A1111 or diffusers"),
            "format": words("Of the files", &FORMATS),
            "syntax": words("How the texts are read", &SYNTAXES),
            "loras": optional("array", "Files that the worker has", loras),
        },
    })
}

fn cloud_event() -> Value {
    let source = json!({ "type": "string", "pattern": "^/shanshui/", "description": "Who tells it" });
    json!({
        "description": "An event as it is published: CloudEvents 1.0 in structured JSON",
        "type": "object",
        "required": ["specversion", "id", "source", "subject", "type", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "minLength": 1 },
            "source": source,
            "subject": { "type": "string", "pattern": "^[a-z0-9-]{1,64}$", "description": "The job" },
            "type": { "type": "string", "pattern": "^shanshui\\.job\\.[a-z-]+\\.v1$" },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "const": "application/json" },
            "traceparent": { "type": "string", "description": "W3C Trace Context: the attempt that tells it" },
            "tracestate": { "type": "string" },
            "data": reference("Event"),
        },
    })
}

fn receipt() -> Value {
    json!({
        "description": "jobs/<job>/receipt.json: the job is complete",
        "type": "object",
        "required": ["version", "job", "labels", "objects", "stages"],
        "properties": {
            "version": { "const": 2 },
            "job": { "type": "string" },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "objects": { "type": "array", "items": reference("MadeObject") },
            "stages": { "type": "object", "additionalProperties": reference("Made") },
        },
    })
}

fn end() -> Value {
    let ends: Vec<&str> = FINAL_KINDS.into_iter().filter(|kind| *kind != "done").collect();
    json!({
        "description": "jobs/<job>/end.json: why a job ended that is not done",
        "type": "object",
        "required": ["version", "job", "end", "stage", "code", "reason"],
        "properties": {
            "version": { "const": 1 },
            "job": { "type": "string" },
            "end": { "enum": ends },
            "stage": { "type": "string" },
            "code": { "anyOf": [reference("Code"), { "type": "null" }] },
            "reason": { "type": ["string", "null"] },
        },
    })
}

fn cancel() -> Value {
    json!({
        "description": "A cancel: nothing, a short text, or this object",
        "type": "object",
        "properties": { "reason": { "type": "string" } },
    })
}

#[cfg(test)]
mod tests;
