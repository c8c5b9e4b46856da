//! What the events of a job tell.

use shanshui_pipeline::event::{Envelope, Event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::exit::Exit;

/// The events of one job in their order.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// When this process submitted the job; none when it only looks on.
    pub(crate) submitted: Option<OffsetDateTime>,
    /// The events.
    pub(crate) events: Vec<Envelope>,
}

/// Time that a job spent on one stage, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageTime {
    /// The stage.
    pub(crate) stage: String,
    /// From the end of the stage before to the first start.
    pub(crate) wait: f64,
    /// From the first start to the end, further attempts included.
    pub(crate) work: f64,
    /// Attempts made.
    pub(crate) attempts: u64,
}

/// One picture as the events name it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    /// Counts from 0.
    pub(crate) index: u32,
    /// Object.
    pub(crate) key: String,
    /// SHA-256 of the object.
    pub(crate) sha256: String,
    /// Seed that paints it again.
    pub(crate) seed: u64,
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
}

impl Story {
    /// Kind of the final event; without one, `working` or `queued`.
    pub(crate) fn state(&self) -> &'static str {
        match self.end() {
            Some(event) => event.kind(),
            None if self.events.iter().any(|envelope| matches!(envelope.data, Event::Started { .. })) => "working",
            None => "queued",
        }
    }

    /// The exit code of a job that has ended so.
    pub(crate) fn exit(&self) -> Exit {
        match self.end() {
            Some(Event::Done { .. }) => Exit::Done,
            Some(Event::NoSpeech { .. }) => Exit::NoSpeech,
            Some(Event::Canceled { .. }) => Exit::Canceled,
            _ => Exit::Failed,
        }
    }

    /// Why the job ended without a result.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self.end() {
            Some(Event::Failed { reason, .. } | Event::NoSpeech { reason, .. }) => Some(reason),
            Some(_) => None,
            None => self.events.iter().find_map(|envelope| match &envelope.data {
                Event::Refused { reason, .. } => Some(reason.as_str()),
                _ => None,
            }),
        }
    }

    /// Words and language.
    pub(crate) fn transcript(&self) -> Option<(&str, &str)> {
        self.events.iter().rev().find_map(|envelope| match &envelope.data {
            Event::Transcript { text, language, .. } => Some((text.as_str(), language.as_str())),
            _ => None,
        })
    }

    /// The pictures, by index; of a job that was replayed, the last ones.
    pub(crate) fn pictures(&self) -> Vec<Picture> {
        let mut pictures = std::collections::BTreeMap::new();
        for envelope in &self.events {
            if let Event::Picture { index, key, sha256, seed, width, height } = &envelope.data {
                let (key, sha256, size) = (key.clone(), sha256.clone(), (*width, *height));
                pictures.insert(*index, Picture { index: *index, key, sha256, seed: *seed, size });
            }
        }
        pictures.into_values().collect()
    }

    /// Time spent per stage, from the times of the events: as exact as the clocks agree.
    pub(crate) fn stages(&self) -> Vec<StageTime> {
        let mut stages: Vec<(StageTime, OffsetDateTime)> = Vec::new();
        let mut ready = self.submitted;
        for envelope in &self.events {
            let Ok(at) = OffsetDateTime::parse(&envelope.time, &Rfc3339) else { continue };
            let since = *ready.get_or_insert(at);
            match &envelope.data {
                Event::Started { stage, attempt, .. } => match stages.last_mut() {
                    Some((open, _)) if open.stage == *stage => open.attempts = *attempt,
                    _ => {
                        let wait = seconds(since, at);
                        let (stage, attempts) = (stage.clone(), *attempt);
                        stages.push((StageTime { stage, wait, work: 0.0, attempts }, at));
                    }
                },
                event if event.is_final() || matches!(event, Event::Finished { .. }) => {
                    ready = Some(at);
                    if let Some((open, started)) = stages.last_mut() {
                        open.work = seconds(*started, at);
                    }
                }
                _ => {}
            }
        }
        stages.into_iter().map(|(stage, _)| stage).collect()
    }

    /// Seconds from submission (else the first event) to the last event.
    pub(crate) fn total(&self) -> f64 {
        let times = || self.events.iter().filter_map(|event| OffsetDateTime::parse(&event.time, &Rfc3339).ok());
        match (self.submitted.or_else(|| times().next()), times().next_back()) {
            (Some(first), Some(last)) => seconds(first, last),
            _ => 0.0,
        }
    }

    fn end(&self) -> Option<&Event> {
        self.events.iter().rev().map(|envelope| &envelope.data).find(|event| event.is_final())
    }
}

/// Clocks of two machines may disagree by more than a stage takes.
fn seconds(from: OffsetDateTime, to: OffsetDateTime) -> f64 {
    (to - from).as_seconds_f64().max(0.0)
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
