//! Which jobs there are of a lane, or that ended before a time.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::batch;
use crate::event::{Envelope, Event};
use crate::job::JobId;
use crate::queue::Queue;

/// A choice among all jobs whose events are kept.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only jobs of this lane.
    pub lane: Option<String>,
    /// Only jobs whose last end was told before this time.
    pub before: Option<OffsetDateTime>,
}

impl Choice {
    /// The jobs that fit, by name. Reads what was accepted, and what has ended, from the beginning.
    ///
    /// # Errors
    /// A stream cannot be read.
    pub async fn jobs(&self, queue: &Queue) -> anyhow::Result<Vec<JobId>> {
        let of_lane = match &self.lane {
            Some(lane) => Some(in_lane(queue, lane).await?),
            None => None,
        };
        let mut jobs = match (self.before, of_lane) {
            (Some(before), lane) => {
                let ended = ended_before(queue, before).await?;
                ended.into_iter().filter(|job| lane.as_ref().is_none_or(|lane| lane.contains(job))).collect()
            }
            (None, lane) => lane.unwrap_or_default(),
        };
        // Names that are none of ours cannot be those of jobs.
        jobs.retain(|name| JobId::parse("job", name).is_ok());
        jobs.into_iter().map(|name| Ok(JobId::parse("job", &name)?)).collect()
    }
}

async fn in_lane(queue: &Queue, lane: &str) -> anyhow::Result<BTreeSet<String>> {
    let (subject, mut from, mut jobs) = (queue.names().any_event("accepted"), 1, BTreeSet::new());
    loop {
        let read = batch::read(queue, "EVENTS", &subject, from).await?;
        let Some(last) = read.last() else { return Ok(jobs) };
        from = last.sequence + 1;
        let names = read.iter().filter_map(|message| {
            let name = message.token_from_end(1)?;
            let event = Envelope::read(&message.payload, &JobId::parse("job", name).ok()?)?;
            matches!(event.data, Event::Accepted { lane: own, .. } if own == lane).then(|| name.to_owned())
        });
        jobs.extend(names);
    }
}

async fn ended_before(queue: &Queue, before: OffsetDateTime) -> anyhow::Result<BTreeSet<String>> {
    let (subject, mut from, mut jobs) = (queue.names().ended("*", "*"), 1, BTreeSet::new());
    loop {
        let read = batch::read(queue, "ENDS", &subject, from).await?;
        let Some(last) = read.last() else { return Ok(jobs) };
        from = last.sequence + 1;
        for message in &read {
            let Some(name) = message.token_from_end(1) else { continue };
            // A job that was taken out of DEAD counts from its last end.
            if message.time < before {
                jobs.insert(name.to_owned())
            } else {
                jobs.remove(name)
            };
        }
    }
}
