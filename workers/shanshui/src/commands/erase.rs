//! `shanshui erase`: everything that is kept of some jobs, removed for good.

use std::time::Duration;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use shanshui_pipeline::Step;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::{End, Queue};
use shanshui_pipeline::reconcile::{Choice, Erased, Eraser, Standing};
use shanshui_pipeline::store::Store;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::exit::{Exit, OrExit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Jobs erased at a time.
const HANDS: usize = 8;
/// Between two looks whether a canceled job has ended.
const LOOK: Duration = Duration::from_millis(200);

/// Erase what is kept of jobs: recording, transcript, pictures, events, dead letters
///
/// Prints what it erased, one line for each job. What is gone already is no error, so it may be run
/// again. A job that waits or runs is left alone and named; exit code 1 then. A bucket that keeps
/// versions, a backup, and the place from which an intake took a recording keep theirs.
#[derive(Debug, Clone, Args)]
pub(crate) struct EraseArgs {
    /// Names of jobs
    #[arg(value_name = "JOB", required_unless_present_any = ["lane", "before"], conflicts_with_all = ["lane", "before"])]
    jobs: Vec<String>,
    /// Every job of this lane whose events are kept; a tenant has a lane of its own
    #[arg(long, visible_alias = "tenant", value_name = "LANE")]
    lane: Option<String>,
    /// Every job that ended before this time, as 2026-11-29T12:00:00Z or 30d or 12h ago; with --lane those of that lane
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Cancel jobs that wait or run, and erase them once a worker has ended them
    #[arg(long)]
    cancel: bool,
    /// Seconds to wait for the end of a job that was canceled
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait_seconds: u64,
    /// Also erase a recording that a job names by another key than its own; other jobs may name it, too
    #[arg(long)]
    recordings: bool,
    /// Erase nothing; print which jobs would be erased
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Does what was asked.
pub(crate) async fn run(args: EraseArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let named: Result<Vec<JobId>, _> = args.jobs.iter().map(|job| JobId::parse("job", job)).collect();
    let named = named.or_exit(Exit::Usage)?;
    let before = args.before.as_deref().map(|text| time(text, OffsetDateTime::now_utc())).transpose()?;
    let (queue, store) = (args.reach.queue(steps).await?, args.reach.store().await?);
    let choice = Choice { lane: args.lane.clone(), before };
    let jobs = if named.is_empty() { choice.jobs(&queue).await? } else { named };
    let erasing = Erasing { args: &args, queue: &queue, store: &store };
    let left = erasing.all(&jobs).await?;
    if !args.json {
        let (all, verb) = (jobs.len(), if args.dry_run { "would be erased" } else { "erased" });
        print::line(format_args!("{} of {all} jobs {verb}", all - left));
    }
    Ok(if left == 0 { Exit::Done } else { Exit::Failed })
}

struct Erasing<'a> {
    args: &'a EraseArgs,
    queue: &'a Queue,
    store: &'a Store,
}

impl Erasing<'_> {
    /// Erases jobs; returns how many it left alone.
    async fn all(&self, jobs: &[JobId]) -> Result<usize, Refusal> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let eraser = Eraser::prepare(self.queue, self.store, self.args.recordings).await?;
        let each = stream::iter(jobs).map(|job| self.one(&eraser, job)).buffered(HANDS);
        let left = each.try_filter(|erased| std::future::ready(!erased));
        Ok(left.try_collect::<Vec<bool>>().await?.len())
    }

    /// Whether the job is erased.
    async fn one(&self, eraser: &Eraser<'_>, job: &JobId) -> Result<bool, Refusal> {
        if let Standing::Open(run) = eraser.standing(job).await? {
            if !self.args.cancel {
                print::note(format_args!("shanshui: job {job} has not ended; cancel it first, or use --cancel"));
                return Ok(false);
            }
            if !self.args.dry_run && !self.ends(job, run).await? {
                return Ok(false);
            }
        }
        if self.args.dry_run {
            print::line(job);
        } else {
            self.show(&eraser.erase(job).await?);
        }
        Ok(true)
    }

    /// Cancels a job and waits until it has ended.
    async fn ends(&self, job: &JobId, run: u32) -> anyhow::Result<bool> {
        self.queue.cancel(job).await?;
        let ended = async {
            while self.queue.end_of(job, run).await? == End::Open {
                tokio::time::sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        let seconds = self.args.wait_seconds;
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(seconds), ended).await {
            return ended.map(|()| true);
        }
        print::note(format_args!(
            "shanshui: job {job} is canceled and has not ended within {seconds} s; a worker ends it when its turn comes, then erase it again"
        ));
        Ok(false)
    }

    fn show(&self, erased: &Erased) {
        let Erased { job, objects, events, letters, queued } = erased;
        if self.args.json {
            print::line(json!(erased));
        } else if (*objects, *events, *letters, *queued) == (0, 0, 0, 0) {
            print::line(format_args!("{job}: nothing was left"));
        } else {
            print::line(format_args!(
                "{job}: {objects} objects, {events} events, {letters} dead letters, {queued} messages of queues"
            ));
        }
    }
}

/// A time, or how long before `now` it was.
fn time(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Refusal> {
    let ago = |unit: char, seconds: i64| {
        let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
        let ago = count.checked_mul(seconds).filter(|_| count >= 0)?;
        now.checked_sub(time::Duration::seconds(ago))
    };
    let read = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| ago('d', 86_400)).or_else(|| ago('h', 3600));
    read.ok_or_else(|| Refusal::setting("before", text, "a time, as 2026-11-29T12:00:00Z, or an age, as 30d or 12h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_an_age() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let seconds = |text: &str| time(text, now).ok().map(|time| now.unix_timestamp() - time.unix_timestamp());
        assert_eq!(seconds("2d"), Some(172_800));
        assert_eq!(seconds("12h"), Some(43_200));
        assert_eq!(seconds("2027-01-15T08:00:00Z"), Some(0));
        for wrong in ["", "yesterday", "-1d", "1.5d", "9999999999999999d", "200000000d", "2027-01-15", "12", "d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
