//! News of jobs for any number of followers, over one subscription.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::News;
use shanshui_pipeline::{Queue, causes};
use tokio::sync::broadcast;

/// News that a slow follower may have before it; one that has more looks at the stream.
const BEHIND: usize = 16;
/// Before another try to subscribe.
const PAUSE: Duration = Duration::from_secs(1);

/// What a follower hears: an event that is not kept, or none where the stream has something to read.
pub(crate) type Heard = Option<Bytes>;

/// Who follows which job.
#[derive(Default)]
pub(crate) struct Hub {
    jobs: Mutex<HashMap<JobId, broadcast::Sender<Heard>>>,
}

impl Hub {
    /// News of this job from now on.
    pub(crate) fn follow(&self, job: &JobId) -> broadcast::Receiver<Heard> {
        let mut jobs = self.jobs();
        // Whoever left is forgotten here: no follower has to tidy up when it is dropped.
        if jobs.len() % 64 == 63 {
            jobs.retain(|_, followers| followers.receiver_count() > 0);
        }
        jobs.entry(job.clone()).or_insert_with(|| broadcast::channel(BEHIND).0).subscribe()
    }

    /// Passes news on for ever.
    pub(crate) async fn listen(&self, queue: &Queue) -> Infallible {
        loop {
            if let Err(error) = self.pass_on(queue).await {
                tracing::warn!(error = causes(&error), "cannot listen to events; trying again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn pass_on(&self, queue: &Queue) -> anyhow::Result<()> {
        let (mut news, mut link) = (queue.news().await?, queue.link_state());
        // What was told before the subscription, or while the connection was down, lies on the stream.
        self.tell_all();
        loop {
            tokio::select! {
                heard = news.next() => match heard {
                    Some(News { job, passing }) => self.tell(&job, passing),
                    None => return Ok(()),
                },
                changed = link.changed() => {
                    changed?;
                    if link.borrow_and_update().connected {
                        self.tell_all();
                    }
                }
            }
        }
    }

    fn tell(&self, job: &JobId, heard: Heard) {
        let mut jobs = self.jobs();
        if let Some(followers) = jobs.get(job)
            && followers.send(heard).is_err()
        {
            jobs.remove(job);
        }
    }

    fn tell_all(&self) {
        self.jobs().retain(|_, followers| followers.send(None).is_ok());
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, broadcast::Sender<Heard>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
