//! Words while they are heard, for clients that only add them up: what was sent cannot be taken back.

use std::convert::Infallible;
use std::mem::take;

use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use serde_json::{Value, json};
use shanshui_client::Story;
use shanshui_pipeline::Event;
use shanshui_pipeline::event::Envelope;

use super::{Watched, audio_answer};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::wait::{self, Follower, News};

/// Settled words in their order; those behind a gap wait for the whole text.
#[derive(Default)]
struct Words {
    sent: String,
    /// The part that comes next; none when this attempt can add nothing any more.
    next: Option<u32>,
}

struct Listening {
    gateway: Gateway,
    watched: Watched,
    follower: Follower,
    story: Story,
    words: Words,
    over: bool,
}

/// The answer to a request that wants to read along. It begins with the first words, so that a job that
/// fails before has its own status.
pub(super) async fn of(gateway: Gateway, watched: Watched) -> Result<Response, ApiError> {
    let follower = Follower::new(&gateway, &watched.id, 0);
    let (story, words) = (Story::default(), Words::default());
    let mut listening = Listening { gateway, watched, follower, story, words, over: false };
    let first = listening.next().await?;
    let events = unfold((first, listening), |(mut ready, mut listening)| async move {
        if ready.is_empty() && !listening.over {
            ready = listening.next().await.unwrap_or_else(|error| {
                listening.over = true;
                vec![error.value().to_string()]
            });
        }
        if ready.is_empty() {
            return None;
        }
        let sent = Sent::default().data(ready.remove(0));
        Some((Ok::<_, Infallible>(sent), (ready, listening)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

impl Listening {
    /// What is sent next: at least one message, unless all is over.
    async fn next(&mut self) -> Result<Vec<String>, ApiError> {
        loop {
            match self.follower.next().await.map_err(|error| ApiError::away(&error))? {
                Some(News::Passing(payload)) => {
                    let told = Envelope::read(&payload, &self.watched.id);
                    let words = told.and_then(|told| self.words.hear(&told.data));
                    if let Some(words) = words {
                        return Ok(vec![delta(&words)]);
                    }
                }
                Some(News::Kept(event)) => {
                    let event = event.envelope;
                    let refused =
                        matches!(event.data, Event::Refused { message, .. } if message == self.watched.sequence);
                    self.words.begin(&event.data);
                    let over = refused || event.data.is_final();
                    self.story.events.push(event);
                    if over {
                        return self.end().await;
                    }
                }
                None => return self.end().await,
            }
        }
    }

    /// What is left to be sent, and the whole text.
    async fn end(&mut self) -> Result<Vec<String>, ApiError> {
        self.over = true;
        self.watched.end();
        wait::result(&self.story).map_err(|error| error.of(&self.watched.id))?;
        let record = audio_answer::record(&self.gateway, &self.watched.id).await?;
        let text = audio_answer::text(&record, &self.story);
        let segments = record["segments"].as_array().into_iter().flatten();
        let rest = self.words.rest(text, segments.filter_map(|segment| segment["text"].as_str()));
        let usage = audio_answer::usage(&record);
        let done = json!({ "type": "transcript.text.done", "text": text, "usage": usage }).to_string();
        Ok(rest.iter().map(|words| delta(words)).chain([done, "[DONE]".to_owned()]).collect())
    }
}

impl Words {
    /// Another attempt may come to other words: it adds nothing to those of the first.
    fn begin(&mut self, event: &Event) {
        if matches!(event, Event::Started { .. }) {
            self.next = self.sent.is_empty().then_some(0);
        }
    }

    /// The words that an event adds for good.
    fn hear(&mut self, event: &Event) -> Option<String> {
        let Event::Partial { part, text, settled: true, .. } = event else { return None };
        self.next = if self.next? == *part { Some(part + 1) } else { None };
        self.next?;
        self.sent.push_str(text);
        Some(text.clone())
    }

    /// What the whole text has more than was sent, cut behind its segments.
    fn rest<'a>(&mut self, text: &'a str, segments: impl Iterator<Item = &'a str>) -> Vec<String> {
        let Some(mut rest) = text.strip_prefix(&*take(&mut self.sent)) else { return Vec::new() };
        let mut pieces = Vec::new();
        for segment in segments.map(str::trim).filter(|segment| !segment.is_empty()) {
            // Segments that were sent are not found again, or found in words that are like them: no harm.
            if let Some(at) = rest.find(segment) {
                let (piece, behind) = rest.split_at(at + segment.len());
                pieces.push(piece.to_owned());
                rest = behind;
            }
        }
        pieces.extend((!rest.is_empty()).then(|| rest.to_owned()));
        pieces
    }
}

fn delta(words: &str) -> String {
    let told: Value = json!({ "type": "transcript.text.delta", "delta": words });
    told.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(part: u32, text: &str, settled: bool) -> Event {
        Event::Partial { part, text: text.to_owned(), settled, language: "zh".to_owned() }
    }

    fn started() -> Event {
        Event::Started { stage: "transcribe".to_owned(), worker: "a".to_owned(), attempt: 1 }
    }

    fn heard(events: &[Event]) -> (Words, Vec<String>) {
        let (mut words, mut sent) = (Words::default(), Vec::new());
        for event in events {
            words.begin(event);
            sent.extend(words.hear(event));
        }
        (words, sent)
    }

    #[test]
    fn only_settled_words_are_sent_and_all_together_they_are_the_text() {
        let text = "高山。流水。月亮。";
        let (mut words, mut sent) =
            heard(&[started(), part(0, "高三", false), part(0, "高山。", true), part(1, "流", false)]);
        assert_eq!(sent, ["高山。"]);
        sent.extend(words.rest(text, ["高山。", "流水。", "月亮。"].into_iter()));
        assert_eq!((sent.len(), sent.concat().as_str()), (3, text));
    }

    #[test]
    fn behind_a_gap_or_another_attempt_nothing_is_sent_before_the_whole_text() {
        let (mut words, sent) =
            heard(&[started(), part(0, "One", true), part(2, " three", true), part(3, " four", true)]);
        assert_eq!(sent, ["One"]);
        assert_eq!(words.rest("One two three four", ["One", "two three four"].into_iter()), [" two three four"]);
        let (mut words, sent) = heard(&[started(), part(0, "One", true), started(), part(0, "Won", true)]);
        assert_eq!(sent, ["One"]);
        // What was sent is not part of the text: the last message has it.
        assert!(words.rest("Won two", ["Won two"].into_iter()).is_empty());
        let (_, sent) = heard(&[started(), started(), part(0, "One", true)]);
        assert_eq!(sent, ["One"]);
    }
}
