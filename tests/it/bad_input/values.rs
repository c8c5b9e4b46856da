//! Objects with one wrong value.

use serde_json::{Value, json};

use super::{Bad, all_are_buried};

fn text(what: &'static str, job: &Value, names: &'static [&'static str]) -> Bad {
    Bad::json(what, "text", job.to_string(), names)
}

fn picture(what: &'static str, wishes: &Value, names: &'static [&'static str]) -> Bad {
    text(what, &json!({ "text": "a cat", "picture": wishes }), names)
}

fn audio(what: &'static str, job: &Value, names: &'static [&'static str]) -> Bad {
    Bad::json(what, "audio", job.to_string(), names)
}

#[tokio::test]
async fn s12_wishes_out_of_range_are_buried() {
    all_are_buried(vec![
        picture("no width", &json!({ "width": 0 }), &["picture.width", "0"]),
        picture("an odd width", &json!({ "width": 100 }), &["picture.width", "100", "multiple of 8"]),
        picture("a width below zero", &json!({ "width": -64 }), &["picture.width", "-64"]),
        picture("a huge width", &json!({ "width": 2_147_483_648_u64 }), &["picture.width", "2147483648"]),
        picture("a height in words", &json!({ "height": "tall" }), &["picture.height", "tall"]),
        picture("more pixels than a worker paints", &json!({ "width": 4096, "height": 4096 }), &["picture", "4096"]),
        picture("no step", &json!({ "steps": 0 }), &["picture.steps", "0"]),
        picture("too many steps", &json!({ "steps": 100_000 }), &["picture.steps", "100000"]),
        picture("half a step", &json!({ "steps": 2.5 }), &["picture.steps", "2.5"]),
        picture("no picture", &json!({ "count": 0 }), &["picture.count", "0"]),
        picture("too many pictures", &json!({ "count": 1000 }), &["picture.count", "1000"]),
        picture("guidance below zero", &json!({ "guidance": -1 }), &["picture.guidance", "-1"]),
        picture("a seed below zero", &json!({ "seed": -1 }), &["picture.seed", "-1"]),
        picture("wishes that are no object", &json!("big"), &["picture", "big"]),
    ])
    .await;
}

#[tokio::test]
async fn s10_names_that_nobody_knows_are_buried() {
    all_are_buried(vec![
        picture("a sampler", &json!({ "sampler": "dice" }), &["picture.sampler", "dice"]),
        picture("a model", &json!({ "model": "gpt-9" }), &["picture.model", "gpt-9"]),
        picture("a format", &json!({ "format": "bmp" }), &["picture.format", "bmp", "png"]),
        text("a job's name", &json!({ "id": "../up", "text": "a" }), &["id", "../up"]),
        text("a deadline", &json!({ "text": "a", "deadline": "soon" }), &["deadline", "soon"]),
        text("a label", &json!({ "text": "a", "labels": { "tenant": 5 } }), &["labels.tenant", "5"]),
        audio("a language", &json!({ "audio": { "bytes": "AAAA" }, "language": "klingon" }), &["language", "klingon"]),
        audio("a task", &json!({ "audio": { "bytes": "AAAA" }, "task": "sing" }), &["task", "sing"]),
        audio("an end", &json!({ "audio": { "bytes": "AAAA" }, "until": "supper" }), &["until", "supper"]),
    ])
    .await;
}

#[tokio::test]
async fn s09_texts_without_end_and_jobs_that_are_late_are_buried() {
    let endless = "mountain ".repeat(100_000 / 9 + 1);
    all_are_buried(vec![
        text("100,000 characters", &json!({ "text": endless }), &["text", "characters"]),
        Bad::raw("100,000 characters, raw", "text", endless.clone(), &["text", "characters"]),
        text("a deadline in the past", &json!({ "text": "a", "deadline": "2001-01-01T00:00:00Z" }), &["deadline"]),
    ])
    .await;
}
