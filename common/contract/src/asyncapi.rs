//! AsyncAPI 3 of the subjects on NATS: where jobs go in and where events come out.

use serde_json::{Map, Value, json};

use crate::event::{KEPT_KINDS, PASSING_KINDS};
use crate::id::JobId;
use crate::names::{JOB_HEADER, MESSAGE_ID, Names};
use crate::schema;

/// Where the document has its schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// The document, with the subjects of one prefix.
pub fn document(names: &Names) -> Value {
    let about = "Jobs go in on a queue of JetStream, events come out. The application is the pipeline: it receives \
        jobs and cancels, and sends events. docs/contract.md says what it promises.";
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Shanshui", "version": env!("CARGO_PKG_VERSION"), "description": about,
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels(names),
        "operations": operations(),
        "components": { "schemas": schema::definitions_at(SCHEMAS), "messages": messages() },
    })
}

fn channels(names: &Names) -> Value {
    let job = |queue: &str| [names.job(queue, "{lane}"), names.job_in(queue, "{lane}", "{pool}")];
    let ([audio, audio_pool], [text, text_pool]) = (job("audio"), job("text"));
    json!({
        "audio": channel(&audio, &["recording", "audioJob"], "Recordings, on JetStream: wait for the PubAck"),
        "audioPool": channel(&audio_pool, &["recording", "audioJob"], "The same, for a pool with a model of its own"),
        "text": channel(&text, &["text", "textJob"], "Texts to paint, on JetStream: wait for the PubAck"),
        "textPool": channel(&text_pool, &["text", "textJob"], "The same, for a pool with a model of its own"),
        "cancel": channel(&names.cancel("{job}"), &["cancel", "reason"], "Cancels a job, whatever its lane"),
        "cancelInLane": channel(&names.cancel_in("{job}", "{lane}"), &["cancel", "reason"], "Cancels what is in a lane"),
        "events": channel(&event(names), &["event"], "What happens to a job. The stream keeps all but progress, preview and partial"),
        "ended": channel(&names.ended("{job}", "{run}"), &["event"], "The last word on each run of a job: exactly one"),
        "intake": channel(&names.intake("{name}"), &["bucketEvent"], "What a store tells of its bucket"),
    })
}

/// Names of jobs are checked, so a parameter stands in for one afterwards.
fn event(names: &Names) -> String {
    JobId::parse("job", "job").map(|job| names.event(&job, "{kind}").replace(".job.", ".{job}.")).unwrap_or_default()
}

fn channel(address: &str, carried: &[&str], about: &str) -> Value {
    let parameters = address.split('.').filter_map(|token| token.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Map<String, Value> = parameters.map(|name| (name.to_owned(), parameter(name))).collect();
    let carried: Map<String, Value> = carried.iter().map(|name| ((*name).to_owned(), message(name))).collect();
    json!({ "address": address, "description": about, "parameters": parameters, "messages": carried })
}

fn parameter(name: &str) -> Value {
    match name {
        "lane" => json!({ "description": "A tenant or a priority: one token", "default": "default" }),
        "pool" => json!({ "description": "A part of the queue for workers with one model" }),
        "kind" => {
            let all: Vec<&str> = KEPT_KINDS.into_iter().chain(PASSING_KINDS).collect();
            json!({ "description": "The kind of event", "enum": all })
        }
        "run" => json!({ "description": "0, and one more after each replay" }),
        "name" => json!({ "description": "An intake", "default": "default" }),
        _ => json!({ "description": "The name of the job: 1 to 64 characters of a-z, 0-9 and -" }),
    }
}

fn message(name: &str) -> Value {
    json!({ "$ref": format!("#/components/messages/{name}") })
}

fn messages() -> Value {
    let payload = |name: &str| json!({ "$ref": format!("{SCHEMAS}{name}") });
    let binary = json!({ "type": "string", "format": "binary" });
    let headers = json!({
        "type": "object",
        "properties": {
            JOB_HEADER: { "type": "string", "description": "The job's name where the payload has none" },
            MESSAGE_ID: { "type": "string", "description": "A second publication within 15 minutes is dropped" },
            "traceparent": { "type": "string", "description": "W3C trace context; goes on through both queues" },
        },
    });
    let job = |title: &str, media: &str, payload: Value| json!({ "title": title, "contentType": media, "headers": headers, "payload": payload });
    json!({
        "recording": job("The bytes of a recording, as they are", "application/octet-stream", binary),
        "audioJob": job("A recording with settings; MessagePack with the same names is taken, too", "application/json", payload("AudioJob")),
        "text": job("A text in UTF-8, as it is", "text/plain", json!({ "type": "string", "minLength": 1 })),
        "textJob": job("A text with settings; MessagePack with the same names is taken, too", "application/json", payload("TextJob")),
        "cancel": { "title": "Nothing, or a short text", "contentType": "text/plain", "payload": { "type": "string" } },
        "reason": { "title": "A reason", "contentType": "application/json", "payload": payload("Cancel") },
        "event": { "title": "A CloudEvent", "contentType": "application/cloudevents+json", "payload": payload("CloudEvent") },
        "bucketEvent": { "title": "A bucket event in any of the usual forms", "payload": { "type": "object" } },
    })
}

fn operations() -> Value {
    let operation = |action: &str, channel: &str| json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") } });
    json!({
        "takeAudio": operation("receive", "audio"),
        "takeAudioOfPool": operation("receive", "audioPool"),
        "takeText": operation("receive", "text"),
        "takeTextOfPool": operation("receive", "textPool"),
        "takeCancel": operation("receive", "cancel"),
        "takeCancelInLane": operation("receive", "cancelInLane"),
        "tell": operation("send", "events"),
        "tellEnd": operation("send", "ended"),
        "takeBucketEvent": operation("receive", "intake"),
    })
}
