//! When each job was published, begun and ended, as somebody sees it who listens.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Message;
use futures::StreamExt;
use futures::stream::select_all;

use super::super::Board;
use super::super::storm::now;
use super::sample::Table;
use crate::story::FINAL;

const SUBJECTS: [&str; 3] = ["shanshui.audio.>", "shanshui.text.>", "shanshui.events.>"];

#[derive(Default)]
struct Times {
    published: f64,
    started: Option<f64>,
    starts: usize,
}

/// Listens until all jobs have ended, or for too long after the last one was published.
pub(super) async fn listen(url: &str, keep: &Path, (board, jobs): (&Board, usize), rest: Duration) {
    let nats = async_nats::connect(url).await.expect("the queue answers");
    let mut all = Vec::new();
    for subject in SUBJECTS {
        all.push(nats.subscribe(subject).await.expect("a subject"));
    }
    let mut messages = select_all(all);
    let mut table = Table::create(&keep.join("jobs.csv"), "job,published,waited_seconds,took_seconds,starts,end");
    let (mut open, mut ended, mut calm) = (HashMap::<String, Times>::new(), 0, None);
    while ended < jobs && !board.over.load(Ordering::Relaxed) {
        if board.accepted.load(Ordering::Relaxed) == jobs {
            board.calm.store(true, Ordering::Relaxed);
            let since = *calm.get_or_insert_with(now);
            if now() - since > rest.as_secs_f64() {
                break;
            }
        }
        let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(1), messages.next()).await else { continue };
        if note(&mut open, &mut table, &message) {
            ended += 1;
            board.ended.store(ended, Ordering::Relaxed);
        }
    }
}

/// Whether the message is the end of a job.
fn note(open: &mut HashMap<String, Times>, table: &mut Table, message: &Message) -> bool {
    let mut parts = message.subject.split('.').skip(1);
    if parts.next() != Some("events") {
        let job = message.headers.as_ref().and_then(|headers| headers.get("Shanshui-Job"));
        if let Some(job) = job {
            open.entry(job.to_string()).or_insert_with(|| Times { published: now(), ..Times::default() });
        }
        return false;
    }
    let (job, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(times) = open.get_mut(job) else { return false };
    if kind == "started" {
        times.started.get_or_insert_with(now);
        times.starts += 1;
    }
    if !FINAL.contains(&kind) {
        return false;
    }
    let waited = times.started.unwrap_or_else(now) - times.published;
    table.row(&[&job, &times.published, &waited, &(now() - times.published), &times.starts, &kind]);
    open.remove(job);
    true
}
