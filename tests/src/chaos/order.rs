//! The jobs of a trial, and how each must end.

use std::time::Duration;

use async_nats::HeaderMap;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::plan::{Plan, Trial};
use crate::objects::BUCKET;
use crate::paths::recording;

const CLIPS: [&str; 3] = ["apple.wav", "cat.wav", "mountains.wav"];

/// One job.
pub(super) struct Order {
    pub(super) id: String,
    pub(super) subject: &'static str,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    pub(super) end: End,
    /// What its sender does after it was accepted, and when.
    pub(super) then: Option<(Then, Duration)>,
}

/// How a job must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `done`, with this many pictures.
    Pictures(usize),
    /// `failed`, and in DEAD.
    Dead,
    /// `no-speech`.
    NoSpeech,
    /// `canceled`, or `done` with this many pictures where the cancel came too late.
    Canceled(usize),
}

/// What a sender does later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Cancel,
    /// Publishes the same message once more.
    SameMessage,
    /// Publishes the same job in a message with another `Nats-Msg-Id`.
    OtherMessage,
}

/// All jobs of a plan, in the order in which they are published.
pub(super) fn all(plan: &Plan) -> Vec<Order> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    (0..plan.jobs).map(|number| order(plan, number, &mut random)).collect()
}

/// The jobs of a soak: mostly texts that are painted small, so that a slow machine keeps up.
pub(super) fn gentle(seed: u64, jobs: usize) -> Vec<Order> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..jobs).map(|number| gentle_one(format!("soak-{seed:x}-{number}"), &mut random)).collect()
}

fn gentle_one(id: String, random: &mut StdRng) -> Order {
    let after = |random: &mut StdRng| Duration::from_millis(random.random_range(0..1500));
    match random.random_range(0..100) {
        0..8 => speech(id, 1, random),
        8..9 => raw(id, recording("silence.wav"), End::NoSpeech),
        9..11 => poison(id, random),
        11..15 => Order { end: End::Canceled(1), then: Some((Then::Cancel, after(random))), ..text(id, 100, random) },
        15..17 => Order { then: Some((Then::OtherMessage, after(random))), ..text(id, 2, random) },
        _ => text(id, random.random_range(1..=2), random),
    }
}

fn text(id: String, steps: u32, random: &mut StdRng) -> Order {
    let seed = random.random_range(0..1_000_000);
    let picture = json!({ "width": 64, "height": 64, "steps": steps, "count": 1, "seed": seed });
    let job = json!({ "id": id, "text": "a river", "picture": picture });
    json_order(id, "shanshui.text.default", &job, End::Pictures(1))
}

/// Puts the recordings there that jobs name.
pub(super) async fn upload(store: &aws_sdk_s3::Client) {
    for clip in CLIPS {
        let put = store.put_object().bucket(BUCKET).key(format!("audio/{clip}"));
        put.body(ByteStream::from(recording(clip))).send().await.expect("a store that nobody breaks yet");
    }
}

fn order(plan: &Plan, number: usize, random: &mut StdRng) -> Order {
    let id = format!("chaos-{:x}-{number}", plan.seed);
    let lot = if plan.trial == Trial::Storm { random.random_range(0..100) } else { 99 };
    match lot {
        0..4 => poison(id, random),
        4..8 => raw(id, recording("silence.wav"), End::NoSpeech),
        8..12 => {
            let pictures = random.random_range(1..=2);
            let then = Some((Then::Cancel, Duration::from_millis(random.random_range(0..3000))));
            Order { end: End::Canceled(pictures), then, ..speech(id, pictures, random) }
        }
        12..20 => {
            let pictures = random.random_range(1..=2);
            let then = if random.random_bool(0.5) { Then::SameMessage } else { Then::OtherMessage };
            let then = Some((then, Duration::from_millis(random.random_range(0..8000))));
            Order { then, ..speech(id, pictures, random) }
        }
        _ => {
            let pictures = random.random_range(1..=2);
            speech(id, pictures, random)
        }
    }
}

/// A job that comes to be pictures.
fn speech(id: String, pictures: usize, random: &mut StdRng) -> Order {
    let job = spoken(&id, pictures, random);
    json_order(id, "shanshui.audio.default", &job, End::Pictures(pictures))
}

fn spoken(id: &str, pictures: usize, random: &mut StdRng) -> Value {
    let clip = CLIPS[random.random_range(0..CLIPS.len())];
    let audio = if random.random_bool(0.5) {
        json!({ "key": format!("audio/{clip}") })
    } else {
        json!({ "bytes": STANDARD.encode(recording(clip)) })
    };
    let steps = random.random_range(2..=6);
    let seed = random.random_range(0..1_000_000);
    let picture = json!({ "width": 64, "height": 64, "steps": steps, "count": pictures, "seed": seed });
    json!({ "id": id, "audio": audio, "picture": picture })
}

/// A job that no attempt can help; half of the sorts are found out only by the second stage.
fn poison(id: String, random: &mut StdRng) -> Order {
    let mut job = spoken(&id, 1, random);
    let (field, value) = match random.random_range(0..7) {
        0 => return raw(id, b"{ \"audio\": ".to_vec(), End::Dead),
        1 => return raw(id, b"no recording at all".to_vec(), End::Dead),
        2 => ("language", json!("klingon")),
        3 => ("picture", json!({ "steps": 0 })),
        4 => ("picture", json!({ "model": "no-such-model" })),
        5 => ("picture", json!({ "steps": 900 })),
        _ => {
            let text = json!({ "id": id, "text": "a river", "picture": { "width": 65 } });
            return json_order(id, "shanshui.text.default", &text, End::Dead);
        }
    };
    job[field] = value;
    json_order(id, "shanshui.audio.default", &job, End::Dead)
}

fn raw(id: String, payload: Vec<u8>, end: End) -> Order {
    let headers = headers(&id);
    Order { id, subject: "shanshui.audio.default", headers, payload: payload.into(), end, then: None }
}

fn json_order(id: String, subject: &'static str, job: &Value, end: End) -> Order {
    let mut headers = headers(&id);
    headers.insert("Content-Type", "application/json");
    Order { id, subject, headers, payload: job.to_string().into(), end, then: None }
}

fn headers(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Shanshui-Job", id);
    headers.insert("Nats-Msg-Id", format!("{id}/submitted"));
    headers
}
