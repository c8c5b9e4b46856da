//! Follows a job to its end, to the end of the caller's patience, or to Ctrl-C.

use std::time::Duration;

use futures::StreamExt;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Queue;
use tokio::time::Instant;

use super::display::Display;
use super::story::Story;
use crate::exit::{Exit, OrExit, Refusal};

/// How long a canceled job may take to say so. A job that no worker has seen says nothing.
const LAST_WORD: Duration = Duration::from_secs(10);
/// In place of no limit.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Adds the job's events to `story` until the final one; then its exit code.
pub(crate) async fn watch(queue: &Queue, id: &JobId, timeout: Option<u64>, story: &mut Story) -> Result<Exit, Refusal> {
    let mut display = Display::new();
    let mut events = queue.follow(id).await.or_exit(Exit::Unreachable)?;
    let mut until = Instant::now() + timeout.map_or(FOREVER, Duration::from_secs);
    let mut asked = false;
    let exit = loop {
        tokio::select! {
            next = events.next() => match next {
                Some(envelope) => {
                    let envelope = envelope.or_exit(Exit::Unreachable)?;
                    display.event(&envelope.data);
                    story.events.push(envelope);
                }
                None => break story.exit(),
            },
            () = tokio::time::sleep_until(until) => break if asked { Exit::Canceled } else { Exit::TimedOut },
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                if asked {
                    break Exit::Canceled;
                }
                display.say("canceling the job; Ctrl-C again stops waiting for its end");
                queue.cancel(id).await.or_exit(Exit::Unreachable)?;
                asked = true;
                until = Instant::now() + LAST_WORD;
            }
        }
    };
    display.end();
    Ok(exit)
}
