//! What a receiver is told: the type of a Standard Webhook, and the job's document.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shanshui_client::Story;
use shanshui_pipeline::Event;
use shanshui_pipeline::config::Secret;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::job::JobId;
use time::OffsetDateTime;

use super::Hook;
use super::post::Unheard;
use super::sign::Signer;
use super::target::Target;
use crate::gateway::Gateway;
use crate::jobs::{document, objects};

/// Who we are to a receiver.
const AGENT: &str = concat!("shanshui/", env!("CARGO_PKG_VERSION"));

/// Longest reason in a message of the queue, in characters.
const REASON: usize = 2000;

/// A message of the queue: who is to be told of which end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) hook: Hook,
    pub(super) run: u32,
    /// The last word on the run.
    pub(super) end: Envelope,
}

impl Due {
    /// However long a reason is, the stream takes this: the receiver gets the whole one, from the events.
    pub(super) fn of(hook: Hook, run: u32, mut end: Envelope) -> Self {
        if let Event::Failed { reason, .. } | Event::NoSpeech { reason, .. } = &mut end.data {
            *reason = reason.chars().take(REASON).collect();
        }
        Self { hook, run, end }
    }

    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    pub(super) fn job(&self) -> Option<JobId> {
        JobId::parse("id", &self.end.subject).ok()
    }

    /// Where it goes.
    pub(super) fn target(&self, trusted: &[String]) -> Result<Target, Unheard> {
        Target::parse(&self.hook.url, trusted).map_err(|error| Unheard::Never(error.to_string()))
    }

    /// The body: the same at every try.
    pub(super) async fn body(&self, gateway: &Gateway, job: &JobId) -> Result<Bytes, Unheard> {
        let events = gateway.queue.history(job).await.map_err(|error| Unheard::Later(format!("{error:#}")))?;
        let mut story = Story { events, ..Story::default() };
        if story.lanes().any(|lane| lane != self.hook.lane) {
            return Err(Unheard::Never("another lane has used the name of the job".into()));
        }
        // The last word is there before its event is.
        if story.end().is_none() {
            story.events.push(self.end.clone());
        }
        let mut data = document::from_events(job, &story);
        absolute(&mut data, &self.hook.site);
        for picture in data["pictures"].as_array_mut().into_iter().flatten() {
            let index = picture["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or_default();
            picture["link"] = objects::address(gateway, &self.hook.site, job, index).into();
        }
        let kind = format!("job.{}", self.end.data.kind());
        Ok(json!({ "type": kind, "timestamp": self.end.time, "data": data }).to_string().into())
    }

    /// The request with this body, signed now.
    pub(super) fn request(&self, job: &JobId, target: &Target, secret: &Secret, body: Bytes) -> Option<Request<Body>> {
        let (id, now) = (format!("msg_{job}_{}", self.run), OffsetDateTime::now_utc().unix_timestamp());
        let signature = Signer::of(secret, &self.hook.caller).signature(&id, now, &body);
        let request = Request::post(&target.path)
            .header(HOST, &target.authority)
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature);
        request.body(Body::from(body)).ok()
    }
}

/// A receiver does not know which gateway an address without a host belongs to.
fn absolute(value: &mut Value, site: &str) {
    match value {
        Value::String(text) if text.starts_with("/v1/") => *text = format!("{site}{text}"),
        Value::Array(all) => all.iter_mut().for_each(|one| absolute(one, site)),
        Value::Object(all) => {
            for (name, value) in all {
                // What a sender wrote stays as it is.
                if matches!(name.as_str(), "url" | "links" | "pictures" | "transcript" | "self" | "events" | "cancel") {
                    absolute(value, site);
                }
            }
        }
        _ => {}
    }
}
