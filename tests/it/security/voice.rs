//! One role's bare connection, which tries things and hears what the server refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerError};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use shanshui_tests::until;
use tokio::task::JoinSet;

use super::guarded::{Guarded, password};

/// Nobody may publish here; a refusal of it says that everything before it has been judged.
const END: &str = "nobody.may";

/// Bytes of each message that are kept of what is heard.
const BEGINNING: usize = 64 * 1024;

/// A connection with the rights of a role, and none of our code.
pub(crate) struct Voice {
    /// The connection.
    pub(crate) client: Client,
    refused: Arc<Mutex<Vec<String>>>,
}

/// What was said on any subject of an account.
pub(crate) struct Ears {
    heard: Arc<Mutex<Vec<Bytes>>>,
    _voice: Voice,
    _listener: JoinSet<()>,
}

impl Ears {
    /// Whether a payload holds this.
    pub(crate) fn heard(&self, text: &str) -> bool {
        let heard = self.heard.lock().expect("no test fails while it holds this");
        heard.iter().any(|payload| payload.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

impl Voice {
    pub(crate) async fn of(guarded: &Guarded, role: &str) -> Self {
        let refused = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&refused);
        let options = ConnectOptions::with_user_and_password(role.to_owned(), password(role))
            .custom_inbox_prefix(format!("_INBOX_{role}"))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    heard.lock().expect("no test fails while it holds this").push(text);
                }
                async {}
            });
        let client = options.connect(&guarded.url).await.expect("the role may connect");
        Self { client, refused }
    }

    /// Hears whatever can be heard in its account, from now on.
    pub(crate) async fn hears_all(self) -> Ears {
        let mut all = self.client.subscribe(">").await.expect("a subject");
        self.client.flush().await.expect("a connection");
        let heard = Arc::<Mutex<Vec<Bytes>>>::default();
        let kept = Arc::clone(&heard);
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            while let Some(message) = all.next().await {
                let beginning = &message.payload[..message.payload.len().min(BEGINNING)];
                let beginning = Bytes::copy_from_slice(beginning);
                kept.lock().expect("no test fails while it holds this").push(beginning);
            }
        });
        Ears { heard, _voice: self, _listener: listener }
    }

    /// Tries to publish nothing, and to have the answer, on each subject; those that were refused.
    pub(crate) async fn publishes(&self, subjects: &[&str]) -> Vec<String> {
        let inbox = self.client.new_inbox();
        for subject in subjects {
            let sent = self.client.publish_with_reply((*subject).to_owned(), inbox.clone(), Bytes::new()).await;
            sent.expect("a subject");
        }
        self.judged("publish", subjects).await
    }

    /// Tries to listen on each subject; those that were refused.
    pub(crate) async fn subscribes(&self, subjects: &[String]) -> Vec<String> {
        let mut kept = Vec::new();
        for subject in subjects {
            kept.push(self.client.subscribe(subject.clone()).await.expect("a subject"));
        }
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        self.judged("subscription", &subjects).await
    }

    async fn judged(&self, what: &str, subjects: &[&str]) -> Vec<String> {
        self.client.publish(END, Bytes::new()).await.expect("a subject");
        self.client.flush().await.expect("a connection");
        let heard = || self.refused.lock().expect("no test fails while it holds this").clone();
        until("the server's verdict", async || heard().iter().any(|text| text.contains(END)).then_some(())).await;
        let heard = std::mem::take(&mut *self.refused.lock().expect("no test fails while it holds this"));
        let heard: Vec<String> = heard.iter().map(|text| text.to_lowercase()).collect();
        let about = |subject: &str| format!("{what} to \"{}\"", subject.to_lowercase());
        subjects
            .iter()
            .filter(|subject| heard.iter().any(|text| text.contains(&about(subject))))
            .map(|&subject| subject.to_owned())
            .collect()
    }

    /// Publishes nothing on each subject, and waits until the server has dealt with it.
    pub(crate) async fn tells(&self, subjects: &[String]) {
        for subject in subjects {
            self.client.publish(subject.clone(), Bytes::new()).await.expect("a subject");
        }
        self.settles().await;
    }

    /// Waits until the server has read what was sent, and its streams had time to deal with it.
    pub(crate) async fn settles(&self) {
        self.client.flush().await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Asks JetStream's API and reads the answer.
    pub(crate) async fn asks(&self, subject: &str) -> Value {
        self.asks_for(subject, "").await
    }

    /// Asks JetStream's API for something and reads the answer.
    pub(crate) async fn asks_for(&self, subject: &str, what: &str) -> Value {
        let answer = self.client.request(subject.to_owned(), what.to_owned().into()).await.expect("an answer");
        serde_json::from_slice(&answer.payload).expect("JSON")
    }

    /// Publishes a payload and waits until a stream has it.
    pub(crate) async fn says(&self, subject: &str, payload: &'static str) {
        let kept = self.client.request(subject.to_owned(), payload.into()).await.expect("a stream keeps it");
        assert!(String::from_utf8_lossy(&kept.payload).contains("\"seq\""), "{kept:?}");
    }
}
