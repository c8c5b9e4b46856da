//! One role's bare connection, which tries things and hears what the server refuses.

use std::sync::{Arc, Mutex};

use async_nats::{Client, ConnectOptions, Event, ServerError};
use bytes::Bytes;
use serde_json::Value;
use shanshui_tests::until;

use super::guarded::{Guarded, password};

/// Nobody may publish here; a refusal of it says that everything before it has been judged.
const END: &str = "nobody.may";

/// A connection with the rights of a role, and none of our code.
pub(crate) struct Voice {
    client: Client,
    refused: Arc<Mutex<Vec<String>>>,
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

    /// Asks JetStream's API and reads the answer.
    pub(crate) async fn asks(&self, subject: &str) -> Value {
        let answer = self.client.request(subject.to_owned(), Bytes::new()).await.expect("an answer");
        serde_json::from_slice(&answer.payload).expect("JSON")
    }

    /// Publishes a payload and waits until a stream has it.
    pub(crate) async fn says(&self, subject: &str, payload: &'static str) {
        let kept = self.client.request(subject.to_owned(), payload.into()).await.expect("a stream keeps it");
        assert!(String::from_utf8_lossy(&kept.payload).contains("\"seq\""), "{kept:?}");
    }
}
