//! Words on their way to whoever watches a job, while the rest is still decoded.

use std::time::{Duration, Instant};

use shanshui_pipeline::event::Event;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::decoding::{Draft, Hearing};

/// From one event of a job to the next, at least.
const PAUSE: Duration = Duration::from_millis(250);
/// Tokens from which on the first words of a job are shown, without a pause before them: half a dozen words.
const FIRST: usize = 8;
/// Bytes of settled words that wait for their turn, at most.
const MOST: usize = 2000;
/// Events that wait to be sent; more are dropped.
const WAITING: usize = 8;

/// Makes events of what is heard, on the thread of the model: few, small, and never waiting for anybody.
pub struct Partials {
    events: Sender<Event>,
    /// When the first words came, or the last event went.
    last: Option<Instant>,
    part: u32,
    /// Bytes of the settled text that were told.
    told: usize,
    /// Settled words that were not told yet.
    settled: String,
    /// Characters that were told of the part, and are not settled.
    shown: usize,
    language: &'static str,
}

impl Partials {
    /// Where words go, and where the events come out.
    #[must_use]
    pub fn channel() -> (Self, Receiver<Event>) {
        let (events, receiver) = mpsc::channel(WAITING);
        let (settled, language) = (String::new(), "");
        (Self { events, last: None, part: 0, told: 0, settled, shown: 0, language }, receiver)
    }

    /// Tells of it, if it is time.
    pub fn hear(&mut self, hearing: &Hearing<'_>) {
        match hearing {
            Hearing::Draft(draft) => self.draft(draft),
            Hearing::Settled { text, language } => self.settle(text, language),
        }
    }

    fn draft(&mut self, draft: &Draft<'_>) {
        if !self.is_due(draft.length()) {
            return;
        }
        if !self.settled.is_empty() {
            return self.tell_settled();
        }
        self.language = draft.language();
        let Some(text) = draft.text() else { return };
        let text = if self.told == 0 { text.trim_start() } else { &text };
        // A further attempt at a window begins anew: until it is as far, the words of the last one stay.
        let length = text.chars().count();
        if length > self.shown && self.tell(text.to_owned(), false) {
            self.shown = length;
        }
    }

    fn settle(&mut self, text: &str, language: &'static str) {
        self.language = language;
        if self.told == 0 {
            self.told = text.len() - text.trim_start().len();
        }
        // Spaces at the end may be the end of everything: they come with the words behind them.
        self.settled = text.trim_end().get(self.told..).unwrap_or_default().to_owned();
        if self.settled.is_empty() {
            if self.shown > 0 && self.tell(String::new(), false) {
                self.shown = 0;
            }
        } else if self.settled.len() > MOST || self.has_rested() {
            self.tell_settled();
        }
    }

    fn tell_settled(&mut self) {
        let length = self.settled.len();
        if self.tell(self.settled.clone(), true) {
            (self.part, self.told, self.shown) = (self.part + 1, self.told + length, 0);
            self.settled.clear();
        }
    }

    fn is_due(&mut self, length: usize) -> bool {
        let first = self.last.is_none();
        self.last.get_or_insert_with(Instant::now);
        let nothing_told = self.part == 0 && self.shown == 0;
        first && length >= FIRST || nothing_told && length == FIRST || self.has_rested()
    }

    fn has_rested(&self) -> bool {
        self.last.is_some_and(|last| last.elapsed() >= PAUSE)
    }

    /// Whether it went: one that finds no room is lost.
    fn tell(&mut self, text: String, settled: bool) -> bool {
        let event = Event::Partial { part: self.part, text, settled, language: self.language.to_owned() };
        let went = self.events.try_send(event).is_ok();
        self.last = Some(Instant::now());
        went
    }
}
