//! What the events of a job tell.

use shanshui_pipeline::event::{Envelope, Event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The events of one job in their order.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// When this process submitted the job; none when it only looks on.
    pub submitted: Option<OffsetDateTime>,
    /// The events.
    pub events: Vec<Envelope>,
}

/// Time that a job spent on one stage, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTime {
    /// The stage.
    pub stage: String,
    /// From the end of the stage before to the first start.
    pub wait: f64,
    /// From the first start to the end, further attempts included.
    pub work: f64,
    /// Attempts made.
    pub attempts: u64,
}

/// One picture as the events name it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Counts from 0.
    pub index: u32,
    /// Object.
    pub key: String,
    /// SHA-256 of the object.
    pub sha256: String,
    /// Seed that paints it again.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Story {
    /// Kind of the final event; without one, `working` or `queued`.
    pub fn state(&self) -> &'static str {
        match self.end() {
            Some(event) => event.kind(),
            None if self.events.iter().any(|envelope| matches!(envelope.data, Event::Started { .. })) => "working",
            None => "queued",
        }
    }

    /// Why the job ended without a result.
    pub fn reason(&self) -> Option<&str> {
        match self.end() {
            Some(Event::Failed { reason, .. } | Event::NoSpeech { reason, .. }) => Some(reason),
            Some(_) => None,
            None => self.events.iter().find_map(|envelope| match &envelope.data {
                Event::Refused { reason, .. } => Some(reason.as_str()),
                _ => None,
            }),
        }
    }

    /// Every lane that the events name: one, unless two senders used one name.
    pub fn lanes(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|envelope| lane_of(&envelope.data))
    }

    /// Words and language.
    pub fn transcript(&self) -> Option<(&str, &str)> {
        self.events.iter().rev().find_map(|envelope| match &envelope.data {
            Event::Transcript { text, language, .. } => Some((text.as_str(), language.as_str())),
            _ => None,
        })
    }

    /// The pictures, by index; of a job that was replayed, the last ones.
    pub fn pictures(&self) -> Vec<Picture> {
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
    pub fn stages(&self) -> Vec<StageTime> {
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
    pub fn total(&self) -> f64 {
        let times = || self.events.iter().filter_map(|event| OffsetDateTime::parse(&event.time, &Rfc3339).ok());
        match (self.submitted.or_else(|| times().next()), times().next_back()) {
            (Some(first), Some(last)) => seconds(first, last),
            _ => 0.0,
        }
    }

    /// The final event of the last run; a job that was replayed goes on after its first one.
    pub fn end(&self) -> Option<&Event> {
        let last_run = self.events.iter().rposition(|envelope| matches!(envelope.data, Event::Accepted { .. }));
        let events = &self.events[last_run.unwrap_or(0)..];
        events.iter().rev().map(|envelope| &envelope.data).find(|event| event.is_final())
    }
}

/// The lane that an event names.
pub fn lane_of(event: &Event) -> Option<&str> {
    match event {
        Event::Accepted { lane, .. } | Event::Queued { lane, .. } => {
            Some(lane.as_str()).filter(|lane| !lane.is_empty())
        }
        _ => None,
    }
}

/// Clocks of two machines may disagree by more than a stage takes.
fn seconds(from: OffsetDateTime, to: OffsetDateTime) -> f64 {
    (to - from).as_seconds_f64().max(0.0)
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
