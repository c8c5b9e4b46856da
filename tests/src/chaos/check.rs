//! Whether every job came to its one end, from what the streams and the store hold.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::Client;
use serde_json::Value;

use super::history::{History, Told};
use super::order::End;
use crate::objects::{BUCKET, sha256};
use crate::story::FINAL;

/// What was found; the first three must be empty.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Jobs without an end, or whose result is not there.
    pub(super) lost: Vec<String>,
    /// Jobs with two ends, pictures told twice, objects that belong to no receipt.
    pub(super) doubled: Vec<String>,
    /// Another end than the job must come to.
    pub(super) wrong: Vec<String>,
    /// Jobs by the end that they came to.
    pub(super) ends: BTreeMap<String, usize>,
    /// Pictures in receipts.
    pub(super) pictures: usize,
    /// Events that came after the final one, by kind.
    pub(super) late: BTreeMap<String, usize>,
}

struct Bucket<'a> {
    store: &'a Client,
    /// Keys below `jobs/`, by job.
    keys: BTreeMap<String, BTreeSet<String>>,
}

/// Looks at every job, given by its name and the end that it must come to.
pub(super) async fn check(wanted: &[(&str, End)], history: &History, store: &Client) -> Verdict {
    let mut verdict = Verdict::default();
    let bucket = Bucket { store, keys: keys(store).await };
    for (id, end) in wanted {
        verdict.job(id, *end, history.jobs.get(*id).map_or(&[], Vec::as_slice), &bucket).await;
    }
    verdict.strangers(wanted, history, &bucket);
    verdict.graves(wanted, history);
    if history.left > 0 {
        verdict.lost.push(format!("{} messages are still on the queues", history.left));
    }
    verdict
}

impl Verdict {
    pub(super) fn faults(&self) -> Vec<String> {
        let all = [("lost", &self.lost), ("doubled", &self.doubled), ("wrong", &self.wrong)];
        all.iter().flat_map(|(what, found)| found.iter().map(move |found| format!("{what}: {found}"))).collect()
    }

    async fn job(&mut self, id: &str, wanted: End, story: &[Told], bucket: &Bucket<'_>) {
        let finals: Vec<&Told> = story.iter().filter(|told| FINAL.contains(&told.kind.as_str())).collect();
        let [end] = finals[..] else {
            let kinds: Vec<&str> = finals.iter().map(|told| told.kind.as_str()).collect();
            let list = if kinds.is_empty() { &mut self.lost } else { &mut self.doubled };
            return list.push(format!("{id}: final events {kinds:?}"));
        };
        *self.ends.entry(end.kind.clone()).or_default() += 1;
        let after = story.iter().skip_while(|told| !std::ptr::eq(*told, end)).skip(1);
        after.for_each(|told| *self.late.entry(told.kind.clone()).or_default() += 1);
        if story.iter().filter(|told| told.kind == "accepted").count() != 1 {
            self.doubled.push(format!("{id}: accepted more or less than once"));
        }
        match (wanted, end.kind.as_str()) {
            (End::Pictures(count), "done") | (End::Canceled(count), "done") => {
                self.pictures += count;
                self.result(id, count, story, bucket).await;
            }
            (End::Dead, "failed") | (End::NoSpeech, "no-speech") | (End::Canceled(_), "canceled") => {
                if wanted == End::Dead && bucket.keys.get(id).is_some_and(|keys| keys.contains(&receipt(id))) {
                    self.wrong.push(format!("{id}: failed, and has a receipt"));
                }
            }
            (wanted, kind) => self.wrong.push(format!("{id}: {kind} instead of {wanted:?}: {}", end.data)),
        }
    }

    /// The receipt, and the objects that it names: all there, nothing else.
    async fn result(&mut self, id: &str, count: usize, story: &[Told], bucket: &Bucket<'_>) {
        let Some(text) = bucket.get(&receipt(id)).await else {
            return self.lost.push(format!("{id}: done, and no receipt"));
        };
        let known: Value = serde_json::from_slice(&text).unwrap_or_default();
        let objects = known["objects"].as_array().cloned().unwrap_or_default();
        let mut keys = BTreeSet::from([receipt(id)]);
        let mut pictures = BTreeMap::new();
        for object in &objects {
            let (key, wanted) = (text_of(object, "key"), text_of(object, "sha256"));
            match bucket.get(&key).await {
                None => self.lost.push(format!("{id}: {key} is in the receipt and not in the bucket")),
                Some(bytes) if sha256(&bytes) != wanted => {
                    self.doubled.push(format!("{id}: {key} is another object than that of the receipt"));
                }
                Some(_) => {}
            }
            if object["kind"] == "picture" {
                pictures.insert(key.clone(), wanted);
            }
            if !key.starts_with("audio/") {
                keys.insert(key);
            }
        }
        if pictures.len() != count {
            self.wrong.push(format!("{id}: {} pictures instead of {count}", pictures.len()));
        }
        let there = bucket.keys.get(id).cloned().unwrap_or_default();
        there.difference(&keys).for_each(|key| self.doubled.push(format!("{id}: {key} is in no receipt")));
        self.told(id, &pictures, story);
    }

    /// One event for each picture, with the hash of the object.
    fn told(&mut self, id: &str, pictures: &BTreeMap<String, String>, story: &[Told]) {
        let told: Vec<_> = story.iter().filter(|told| told.kind == "picture").map(|told| &told.data).collect();
        for (key, sha256) in pictures {
            let same: Vec<_> = told.iter().filter(|data| data["key"] == **key).collect();
            match same[..] {
                [] => self.lost.push(format!("{id}: no event for {key}")),
                [one] if one["sha256"] != **sha256 => {
                    self.doubled.push(format!("{id}: the event for {key} has another hash than the receipt"));
                }
                [_] => {}
                _ => self.doubled.push(format!("{id}: {} events for {key}", same.len())),
            }
        }
    }

    /// Jobs that nobody published.
    fn strangers(&mut self, wanted: &[(&str, End)], history: &History, bucket: &Bucket<'_>) {
        let known: BTreeSet<&str> = wanted.iter().map(|(id, _)| *id).collect();
        let jobs: BTreeSet<&String> = history.jobs.keys().chain(bucket.keys.keys()).collect();
        let strangers = jobs.into_iter().filter(|job| !known.contains(job.as_str()));
        self.wrong.extend(strangers.map(|job| format!("{job}: nobody published this job")));
    }

    /// DEAD holds each poisoned job once, and no other.
    fn graves(&mut self, wanted: &[(&str, End)], history: &History) {
        for (id, end) in wanted {
            let graves: Vec<_> = history.dead.iter().filter(|(job, _)| job == id).collect();
            match (end, graves.len()) {
                (End::Dead, 1) => {}
                (End::Dead, 0) => self.lost.push(format!("{id}: not in DEAD")),
                (End::Dead, count) => self.doubled.push(format!("{id}: {count} times in DEAD")),
                (_, 0) => {}
                _ => self.wrong.push(format!("{id}: in DEAD: {}", graves[0].1)),
            }
        }
    }
}

impl Bucket<'_> {
    async fn get(&self, key: &str) -> Option<bytes::Bytes> {
        let object = self.store.get_object().bucket(BUCKET).key(key).send().await.ok()?;
        object.body.collect().await.ok().map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes)
    }
}

async fn keys(store: &Client) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut last = None;
    loop {
        let list = store.list_objects_v2().bucket(BUCKET).prefix("jobs/").set_start_after(last.clone());
        let page = list.send().await.expect("a store that nobody breaks any more");
        let keys: Vec<String> = page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect();
        let before = last.clone();
        for key in keys {
            let job = key.split('/').nth(1).unwrap_or_default().to_owned();
            last = last.max(Some(key.clone()));
            found.entry(job).or_default().insert(key);
        }
        if last == before {
            return found;
        }
    }
}

fn receipt(id: &str) -> String {
    format!("jobs/{id}/receipt.json")
}

fn text_of(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}
