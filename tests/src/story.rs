//! What a job told the world, in order.

use serde_json::Value;

/// The kinds that no stream keeps.
pub(crate) const FLEETING: [&str; 3] = ["progress", "preview", "partial"];
/// The kinds that end a job.
pub(crate) const FINAL: [&str; 4] = ["done", "failed", "canceled", "no-speech"];

/// The events of one job.
#[derive(Debug, Default)]
pub struct Story {
    events: Vec<Value>,
}

impl Story {
    /// Adds an event as it lies on the stream; it must be CloudEvents, about `job`, and its kind
    /// that of its subject.
    pub fn add(&mut self, subject: &str, job: &str, payload: &[u8]) {
        let event: Value = serde_json::from_slice(payload).expect("an event is JSON");
        let kind = event["data"]["kind"].as_str().expect("an event has a kind");
        assert_eq!(subject, format!("shanshui.events.{job}.{kind}"));
        assert_eq!((&event["specversion"], &event["subject"]), (&"1.0".into(), &job.into()), "{event}");
        assert_eq!(event["type"], format!("shanshui.job.{kind}.v1"), "{event}");
        assert!(event["id"].is_string() && event["source"].is_string() && event["time"].is_string(), "{event}");
        self.events.push(event);
    }

    /// Whether the job has ended.
    pub fn is_over(&self) -> bool {
        !self.finals().is_empty()
    }

    /// The kinds in order, without those that no stream keeps, of which there are more or fewer, and without the
    /// end of each stage, for [`Story::stages`].
    pub fn kinds(&self) -> Vec<&str> {
        let kinds = self.events.iter().filter_map(|event| event["data"]["kind"].as_str());
        kinds.filter(|kind| *kind != "finished" && !FLEETING.contains(kind)).collect()
    }

    /// The stages that have done their part, in order.
    pub fn stages(&self) -> Vec<&str> {
        self.all("finished").into_iter().filter_map(|data| data["stage"].as_str()).collect()
    }

    /// The kinds that end a job; there must be one in the end.
    pub fn finals(&self) -> Vec<&str> {
        self.kinds().into_iter().filter(|kind| FINAL.contains(kind)).collect()
    }

    /// The data of every event of one kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().map(|event| &event["data"]).filter(|data| data["kind"] == kind).collect()
    }

    /// The data of the one event of one kind.
    pub fn one(&self, kind: &str) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "one event {kind} among {:#?}", self.events);
        all[0]
    }

    /// The whole event of one kind.
    pub fn envelope(&self, kind: &str) -> &Value {
        let found = self.events.iter().find(|event| event["data"]["kind"] == kind);
        found.unwrap_or_else(|| panic!("no event {kind} among {:#?}", self.events))
    }

    /// The words that were understood.
    pub fn words(&self) -> &str {
        self.one("transcript")["text"].as_str().expect("a text")
    }

    /// The data of all events, for messages.
    pub fn told(&self) -> Vec<String> {
        self.events.iter().map(|event| event["data"].to_string()).collect()
    }
}
