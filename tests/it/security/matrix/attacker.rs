//! Somebody with a user of his own, who tries what the protocol lets him write.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::json;

use crate::security::guarded::Guarded;
use crate::security::voice::{Ears, Voice};

/// In every payload that would be a lie anywhere but in the attacker's account.
pub(super) const FORGED: &str = "forged";

/// A message that the server answers: subject and payload.
type Question = (&'static str, &'static str);

/// Questions that cost the workers nothing.
const SMALL: [Question; 2] = [("shanshui.cancel.decoy", ""), ("$JS.API.STREAM.MSG.GET.EVENTS", "{\"seq\":1}")];

/// All that somebody may ask who has every right of a tenant.
const QUESTIONS: [Question; 4] =
    [("shanshui.text.default", "{\"decoy\":1}"), ("shanshui.audio.default", "{\"decoy\":1}"), SMALL[0], SMALL[1]];

/// Where an answer, or a message, would do harm whoever the victim is.
const HARMFUL: &[&str] = &[
    "$JS.API.STREAM.PURGE.TEXT",
    "$JS.API.STREAM.PURGE.AUDIO",
    "$JS.API.STREAM.DELETE.TEXT",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.UPDATE.TEXT",
    "$JS.API.STREAM.SNAPSHOT.TEXT",
    "$JS.API.STREAM.MSG.DELETE.AUDIO",
    "$JS.API.STREAM.PEER.REMOVE.TEXT",
    "$JS.API.CONSUMER.DELETE.AUDIO.transcribe",
    "$JS.API.CONSUMER.DELETE.TEXT.paint",
    "$JS.API.CONSUMER.PAUSE.TEXT.paint",
    "$JS.API.CONSUMER.UNPIN.TEXT.paint",
    "$JS.API.CONSUMER.CREATE.TEXT",
    "$JS.API.CONSUMER.MSG.NEXT.TEXT.paint",
    "$JS.ACK.TEXT.paint.1.1.1.1.0",
    "$JS.ACK.AUDIO.transcribe.1.1.1.1.0",
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.TEXT.paint",
    "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.AUDIO.transcribe",
    "$SYS.REQ.SERVER.PING.KICK",
    "shanshui.text.x",
    "shanshui.text.tenant-a",
    "shanshui.audio.tenant-a",
    "shanshui.audio.x",
    "shanshui.state.audit",
    "shanshui.dead.paint.tenant-a",
    "_INBOX_tenant-a.x",
    "_INBOX_paint.x",
];

/// Headers by which JetStream does more than keep a message.
const HEADERS: &[&[(&str, &str)]] = &[
    &[("Nats-Rollup", "all")],
    &[("Nats-Rollup", "sub")],
    &[("Nats-TTL", "1s")],
    &[("Nats-Incr", "+1")],
    &[("Nats-Marker-Reason", "Purge")],
    &[("Nats-Required-Api-Level", "99")],
    &[("Nats-Expected-Stream", "EVENTS")],
    &[("Nats-Expected-Last-Sequence", "0")],
    &[("Nats-Expected-Last-Subject-Sequence", "0")],
    &[("Nats-Expected-Last-Subject-Sequence", "0"), ("Nats-Expected-Last-Subject-Sequence-Subject", "shanshui.text.x")],
    &[("Nats-Batch-Id", "all-or-nothing"), ("Nats-Batch-Sequence", "1"), ("Nats-Batch-Commit", "1")],
    &[("Nats-Schedule", "@every 1s"), ("Nats-Schedule-Target", "shanshui.events.early-words.done")],
    &[("Nats-Schedule", "@at 2020-01-01T00:00:00Z"), ("Nats-Schedule-Target", "shanshui.ended.late-words.0")],
    &[("Nats-Schedule", "@at 2020-01-01T00:00:00Z"), ("Nats-Schedule-Target", "shanshui.cancel.late-voice")],
];

/// Cancels of nobody's jobs that are sent at once.
const FLOOD: usize = 300;

/// A user, and what is heard in its account.
pub(super) struct Attacker {
    voice: Voice,
    ears: Ears,
}

impl Attacker {
    pub(super) async fn new(guarded: &Guarded, user: &str) -> Self {
        let ears = Voice::of(guarded, user).await.hears_all().await;
        Self { voice: Voice::of(guarded, user).await, ears }
    }

    /// Every attack, on the jobs with these names among others.
    pub(super) async fn tries_everything(&self, victims: &[&str]) {
        for aim in HARMFUL {
            self.aims_at(aim, &QUESTIONS).await;
        }
        for given in HEADERS {
            self.sends_with(given, &QUESTIONS).await;
        }
        for number in 0..FLOOD {
            self.says(&format!("shanshui.cancel.nobody-{number}"), Bytes::new()).await;
        }
        self.lies(victims, &QUESTIONS).await;
    }

    /// Every attack that names the jobs and sends none.
    pub(super) async fn lies_about(&self, victims: &[&str]) {
        self.lies(victims, &SMALL).await;
    }

    async fn lies(&self, victims: &[&str], questions: &[Question]) {
        for victim in victims {
            for aim in subjects(victim) {
                self.aims_at(&aim, questions).await;
            }
            for id in message_ids(victim) {
                self.sends_with(&[("Nats-Msg-Id", id.as_str())], questions).await;
            }
            let cancels = [format!("shanshui.cancel.{victim}"), format!("shanshui.cancel.{victim}.tenant-a")];
            for cancel in &cancels {
                self.has_answered(cancel, questions).await;
                self.says(cancel, Bytes::new()).await;
            }
            self.says(&cancels[0], vec![b' '; 7 << 20].into()).await;
        }
        self.voice.settles().await;
    }

    /// Other jobs under this name, also as another run of its job, or as its next stage.
    pub(super) async fn takes_the_name(&self, victim: &str) {
        let wishes = json!({ "steps": 1, "count": 1 });
        let plain = json!({ "id": victim, "text": "another", "picture": wishes });
        let made = json!([{ "stage": "transcribe" }]).to_string();
        let next = json!({ "id": victim, "text": "another", "picture": wishes, "made": made });
        for (job, run) in [(&plain, "0"), (&plain, "1"), (&plain, "2"), (&next, "0"), (&next, "1")] {
            let mut headers = HeaderMap::new();
            headers.insert("Shanshui-Replay", run);
            for subject in ["shanshui.text.default", "shanshui.audio.default"] {
                let (headers, payload) = (headers.clone(), job.to_string().into());
                let sent = self.voice.client.publish_with_headers(subject, headers, payload).await;
                sent.expect("a connection");
            }
        }
        self.voice.settles().await;
    }

    /// Has every answer that can be had go to this subject, and publishes a lie there.
    async fn aims_at(&self, subject: &str, questions: &[Question]) {
        self.has_answered(subject, questions).await;
        self.says(subject, lie(subject)).await;
    }

    async fn has_answered(&self, subject: &str, questions: &[Question]) {
        for &(question, payload) in questions {
            self.asks(question, subject, HeaderMap::new(), payload).await;
        }
    }

    async fn sends_with(&self, given: &[(&str, &str)], questions: &[Question]) {
        for &(question, payload) in questions {
            let mut headers = HeaderMap::new();
            given.iter().for_each(|(name, value)| headers.insert(*name, *value));
            self.asks(question, "answers.of.no.use", headers, payload).await;
        }
    }

    /// No job and no answer of another tenant's was heard.
    pub(super) fn heard_nothing_of(&self, secret: &str) {
        assert!(!self.ears.heard(secret), "{secret:?} was heard");
        assert!(!self.ears.heard("RIFF"), "a recording was heard");
    }

    async fn asks(&self, subject: &str, answer: &str, headers: HeaderMap, payload: &'static str) {
        let (subject, answer) = (subject.to_owned(), answer.to_owned());
        let sent = self.voice.client.publish_with_reply_and_headers(subject, answer, headers, payload.into()).await;
        sent.expect("a connection");
    }

    async fn says(&self, subject: &str, payload: Bytes) {
        self.voice.client.publish(subject.to_owned(), payload).await.expect("a connection");
    }
}

/// The subjects of one job on which a message would say something of it.
fn subjects(job: &str) -> Vec<String> {
    let kinds = ["accepted", "finished", "released", "done", "failed", "canceled", "no-speech"];
    let events = kinds.map(|kind| format!("shanshui.events.{job}.{kind}"));
    let ends = [0, 1].map(|run| format!("shanshui.ended.{job}.{run}"));
    [&events[..], &ends].concat()
}

/// What stands for a message on a subject: a well-made final event.
fn lie(subject: &str) -> Bytes {
    let job = subject.split('.').nth(2).unwrap_or_default();
    let data = json!({ "kind": "done", "stage": "paint", "key": null, "seconds": 1.0 });
    let event = json!({
        "specversion": "1.0", "id": format!("{job}/final"), "source": "/shanshui/paint/forged", "subject": job,
        "type": "shanshui.job.done.v1", "time": "2026-11-22T21:04:05Z", "datacontenttype": "application/json",
        "data": data,
    });
    event.to_string().into()
}

/// The message ids that the pipeline gives to what it publishes for a job.
fn message_ids(job: &str) -> Vec<String> {
    let parts = [
        "final/0",
        "accepted/0",
        "transcript/0",
        "transcribe/0",
        "finished/transcribe/0",
        "finished/paint/0",
        "picture/0/0",
        "dead/paint/1/0",
        "cancel/0",
        "text",
        "audio",
    ];
    parts.map(|part| format!("{job}/{part}")).to_vec()
}
