//! Sees how far the jobs are, and when the trial is over.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use futures::StreamExt;

use super::Board;
use super::order::Order;
use crate::steps::steps;
use crate::story::FINAL;

/// Longest time without any change once nothing is broken any more: the longest of the delays
/// before an attempt (two minutes and a fifth), and as much again.
const STILL: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is told how far the jobs are.
const TELL: Duration = Duration::from_secs(10);

/// Returns when every job has ended and the queues are empty, or nothing moves any more.
pub(super) async fn watch(url: &str, orders: &[Order], board: &Board, tell: &(dyn Fn(&str) + Sync)) {
    let servers: Vec<&str> = url.split(',').collect();
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let queue = jetstream::new(options.connect(servers).await.expect("addresses"));
    let (mut seen, mut changed, mut told) = ((0, 0, 0), Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(PAUSE).await;
        let accepted = board.accepted.load(Ordering::Relaxed);
        // Read before the queues are: what a sender sends last must be counted.
        let still = board.sent.load(Ordering::Relaxed) && board.calm.load(Ordering::Relaxed);
        if let (Some(ended), Some(left)) = (ended(&queue).await, left(&queue).await) {
            board.ended.store(ended, Ordering::Relaxed);
            if (accepted, ended, left) != seen {
                (seen, changed) = ((accepted, ended, left), Instant::now());
            }
            // Echoes of jobs that have ended may still come: `left` counts them once they are here.
            if still && accepted == orders.len() && ended == orders.len() && left == 0 {
                break;
            }
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            tell(&format!(
                "{accepted} of {} accepted, {} ended, {} messages in the queues",
                orders.len(),
                seen.1,
                seen.2
            ));
        }
        if board.over.load(Ordering::Relaxed) {
            break;
        }
        if changed.elapsed() > STILL {
            tell("nothing moves any more");
            break;
        }
    }
    board.over.store(true, Ordering::Relaxed);
}

/// How many jobs have ended; none while the queue is away.
async fn ended(queue: &Context) -> Option<usize> {
    let events = queue.get_stream("EVENTS").await.ok()?;
    let mut jobs = BTreeSet::new();
    for kind in FINAL {
        let mut subjects = events.info_with_subjects(format!("shanshui.events.*.{kind}")).await.ok()?;
        while let Some(subject) = subjects.next().await {
            jobs.extend(subject.ok()?.0.split('.').nth(2).map(str::to_owned));
        }
    }
    Some(jobs.len())
}

/// Messages on all queues.
async fn left(queue: &Context) -> Option<u64> {
    let mut left = 0;
    for step in steps() {
        left += queue.get_stream(&step.stream).await.ok()?.cached_info().state.messages;
    }
    Some(left)
}
