//! Follows a job to its end, to the end of the caller's patience, or to Ctrl-C.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use shanshui_client::Story;
use shanshui_pipeline::Step;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::Queue;
use tokio::time::Instant;

use super::display::Display;
use crate::exit::{Exit, OrExit, Refusal};

/// How long a canceled job may take to say so. A job that no worker has seen says nothing.
const LAST_WORD: Duration = Duration::from_secs(10);
/// A job that no worker has begun by then is said to wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// In place of no limit.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Where a job was put: the stage whose queue it is on, and its sequence there.
pub(crate) type Queued = (&'static Step, u64);

/// Adds the job's events to `story` until the final one; then its exit code. Says where the job waits
/// if nothing happens.
pub(crate) async fn watch(
    queue: &Queue,
    (id, queued): (&JobId, Option<Queued>),
    timeout: Option<u64>,
    story: &mut Story,
) -> Result<Exit, Refusal> {
    let mut display = Display::new();
    let mut events = queue.follow(id).await.or_exit(Exit::Unreachable)?;
    let mut until = Instant::now() + timeout.map_or(FOREVER, Duration::from_secs);
    let mut asked = false;
    let mut waiting = pin!(waiting(queue, queued));
    let mut quiet = true;
    let exit = loop {
        tokio::select! {
            next = events.next() => match next {
                Some(envelope) => {
                    let envelope = envelope.or_exit(Exit::Unreachable)?;
                    quiet = false;
                    display.event(&envelope.data);
                    let refused = is_refusal(&envelope.data, queued);
                    story.events.push(envelope);
                    if refused {
                        break Exit::Failed;
                    }
                }
                None => break Exit::of(story),
            },
            event = &mut waiting, if quiet => {
                quiet = false;
                event.iter().for_each(|event| display.event(event));
            }
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

/// Whether it is our submission that was refused: another job has its name.
fn is_refusal(event: &Event, queued: Option<Queued>) -> bool {
    matches!((event, queued), (Event::Refused { message, .. }, Some((_, sequence))) if *message == sequence)
}

/// Where the job waits, if one can tell: who may only submit may not read the queues.
async fn waiting(queue: &Queue, queued: Option<Queued>) -> Option<Event> {
    let (step, sequence) = queued?;
    tokio::time::sleep(PATIENCE).await;
    let wait = queue.wait_of(step, sequence).await.ok()??;
    Some(wait.event(""))
}
