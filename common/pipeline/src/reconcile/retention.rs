//! How long what is kept of a job is kept, by how it ended and by lane.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use time::OffsetDateTime;

use super::batch;
use super::erase::{Erased, Eraser};
use crate::event::{Envelope, Event, FINAL_KINDS};
use crate::job::JobId;
use crate::names::is_lane;
use crate::queue::Queue;
use crate::store::Store;

/// Younger ends are kept whatever the rules say: who follows a job, an intake and the audit must have
/// seen how it ended.
const LEAST: Duration = Duration::from_secs(3600);
/// Ends looked at before the place is remembered, and how many of them at a time.
const TOGETHER: usize = 64;
const HANDS: usize = 8;
/// Longest age: a century.
const MOST_DAYS: f64 = 36_500.0;
const ALLOWED: &str =
    "[LANE/]END=DAYS, END one of done, failed, canceled, no-speech and all, DAYS from 0.042 (an hour)";

/// One rule: `done=7`, `failed=30`, `tenant-a/all=1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    lane: Option<String>,
    /// A final kind; none for all of them.
    end: Option<&'static str>,
    age: Duration,
}

/// Erases jobs whose time is over; what it has looked at once it does not look at again.
#[derive(Debug, Default)]
pub struct Retention {
    rules: Vec<Rule>,
    /// For each age of a rule: the last place on ENDS whose time was over.
    looked: BTreeMap<Duration, u64>,
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not allowed; allowed: {ALLOWED}");
        let (which, days) = text.split_once('=').ok_or_else(wrong)?;
        let (lane, end) = which.rsplit_once('/').map_or((None, which), |(lane, end)| (Some(lane), end));
        let end = match FINAL_KINDS.iter().find(|kind| **kind == end) {
            None if end == "all" => None,
            None => return Err(wrong()),
            known => known.copied(),
        };
        let days: f64 = days.parse().map_err(|_| wrong())?;
        let age = (0.0..=MOST_DAYS).contains(&days).then(|| Duration::from_secs_f64(days * 86_400.0));
        let age = age.filter(|age| *age >= LEAST && lane.is_none_or(is_lane)).ok_or_else(wrong)?;
        Ok(Self { lane: lane.map(str::to_owned), end, age })
    }
}

impl Rule {
    /// The more exactly a rule says whom it is for, the more it counts.
    fn weight(&self) -> (bool, bool) {
        (self.lane.is_some(), self.end.is_some())
    }
}

impl Retention {
    /// With these rules; without any nothing is ever erased.
    pub fn of(rules: Vec<Rule>) -> Self {
        Self { rules, looked: BTreeMap::new() }
    }

    /// Erases the jobs whose time was over at `now`, until there are about as many as `most`.
    ///
    /// # Errors
    /// A stream or the bucket cannot be read or changed.
    pub async fn pass(
        &mut self,
        (queue, store): (&Queue, &Store),
        now: OffsetDateTime,
        most: usize,
    ) -> anyhow::Result<Vec<Erased>> {
        let (mut eraser, mut erased, subject) = (None, Vec::new(), queue.names().ended("*", "*"));
        if !self.rules.is_empty() {
            // The stream may have been made anew.
            let last = queue.last_sequence("ENDS").await?;
            self.looked.retain(|_, at| *at <= last);
        }
        let mut ages: Vec<Duration> = self.rules.iter().map(|rule| rule.age).collect();
        ages.sort();
        ages.dedup();
        for age in ages {
            loop {
                let from = self.looked.get(&age).copied().unwrap_or(0) + 1;
                // Mostly nothing is over: one message says so.
                if queue.next("ENDS", &subject, from).await?.is_none_or(|next| next.time + age > now) {
                    break;
                }
                let read = batch::read(queue, "ENDS", &subject, from).await?;
                let over = read.iter().take_while(|message| message.time + age <= now).count();
                for part in read[..over].chunks(TOGETHER) {
                    let jobs = self.over(queue, part, age).await?;
                    if eraser.is_none() && !jobs.is_empty() {
                        eraser = Some(Eraser::prepare(queue, store, false).await?);
                    }
                    if let Some(eraser) = &eraser {
                        erased.extend(eraser.erase_ended(&jobs).await?);
                    }
                    self.looked.extend(part.last().map(|last| (age, last.sequence)));
                    if erased.len() >= most {
                        return Ok(erased);
                    }
                }
                if over == 0 || over < read.len() {
                    break;
                }
            }
        }
        Ok(erased)
    }

    /// The jobs of these ends whose time is over.
    async fn over(&self, queue: &Queue, ends: &[batch::Read], age: Duration) -> anyhow::Result<Vec<JobId>> {
        let looked = stream::iter(ends).map(|end| self.is_over(queue, end, age)).buffered(HANDS);
        looked.try_filter_map(async |job| Ok(job)).try_collect().await
    }

    /// The job of an end, if this is its last one and the rule for it has this age.
    async fn is_over(&self, queue: &Queue, message: &batch::Read, age: Duration) -> anyhow::Result<Option<JobId>> {
        let Some(job) = message.token_from_end(1).and_then(|name| JobId::parse("job", name).ok()) else {
            return Ok(None);
        };
        let Some(end) = Envelope::read(&message.payload, &job) else { return Ok(None) };
        let lane = match &message.lane {
            // Events may go before ends do: their stream is the first one to be full.
            None if self.rules.iter().any(|rule| rule.lane.is_some()) => lane_of(queue, &job).await?,
            lane => lane.clone(),
        };
        if self.age(lane.as_deref(), end.data.kind()) != Some(age) {
            return Ok(None);
        }
        let last = queue.last_end(&job).await?;
        Ok((last == Some(message.sequence)).then_some(job))
    }

    fn age(&self, lane: Option<&str>, end: &str) -> Option<Duration> {
        let fits = |rule: &&Rule| {
            rule.lane.as_deref().is_none_or(|own| Some(own) == lane) && rule.end.is_none_or(|own| own == end)
        };
        // Of two rules for the same jobs the last one counts, as with any flag.
        self.rules.iter().filter(fits).max_by_key(|rule| rule.weight()).map(|rule| rule.age)
    }
}

async fn lane_of(queue: &Queue, job: &JobId) -> anyhow::Result<Option<String>> {
    let accepted = queue.last_event(job, "accepted").await?;
    Ok(accepted.and_then(|(_, event)| match event?.data {
        Event::Accepted { lane, .. } => Some(lane),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: f64) -> Duration {
        Duration::from_secs_f64(days * 86_400.0)
    }

    #[test]
    fn the_rule_that_says_most_exactly_whom_it_is_for_counts() {
        let rules = ["all=30", "done=7", "a/all=2", "a/failed=90", "done=8"];
        let retention = Retention::of(rules.iter().map(|rule| rule.parse().unwrap()).collect());
        let age = |lane, end| retention.age(lane, end);
        assert_eq!(age(Some("b"), "done"), Some(days(8.0)));
        assert_eq!(age(None, "no-speech"), Some(days(30.0)));
        assert_eq!(age(Some("a"), "done"), Some(days(2.0)));
        assert_eq!(age(Some("a"), "failed"), Some(days(90.0)));
        assert_eq!(Retention::default().age(Some("a"), "done"), None);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_what_is_allowed() {
        let wrong = ["", "done", "done=", "done=x", "done=0", "done=-1", "done=inf", "done=NaN", "started=3", "=3"];
        let more = ["done=0.01", "done=99999", "a.b/done=1", "/done=1", "a/b/done=1", "a/done=1 "];
        for text in wrong.iter().chain(&more) {
            let error = text.parse::<Rule>().unwrap_err();
            assert!(error.contains("allowed: [LANE/]END=DAYS"), "{text}: {error}");
        }
    }
}
