//! Follows a job: for the stream of events, and for callers that wait for the result.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use shanshui_client::Story;
use shanshui_pipeline::event::Envelope;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::KeptEvent;
use shanshui_pipeline::telemetry::InFlight;
use shanshui_pipeline::{Code, Event};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::hub::Heard;
use crate::keys::Caller;
use crate::seats::Seat;

/// How often an event is looked for whose news was lost.
const LOOK: Duration = Duration::from_secs(30);
/// Between two looks while NATS does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// Failed looks, over a link that is up, after which following ends.
const FAILURES: u32 = 5;

/// What a follower gets.
pub(crate) enum News {
    /// An event that the stream keeps.
    Kept(Box<KeptEvent>),
    /// One that it does not keep.
    Passing(Bytes),
}

/// The events of one job, one after the other.
pub(crate) struct Follower {
    gateway: Gateway,
    job: JobId,
    /// Sequence of the last event that was told.
    last: u64,
    news: broadcast::Receiver<Heard>,
    /// The stream may have something to read.
    look: bool,
    failures: u32,
    /// The words were told: what was said before of them is old.
    heard: bool,
    over: bool,
    _counted: InFlight,
}

impl Follower {
    /// Listens from now on, so that nothing falls between this and the first look.
    pub(crate) fn new(gateway: &Gateway, job: &JobId, last: u64) -> Self {
        let news = gateway.hub.follow(job);
        let (gateway, job, _counted) = (gateway.clone(), job.clone(), gateway.metrics.follower());
        Self { gateway, job, last, news, look: true, failures: 0, heard: false, over: false, _counted }
    }

    /// The next event; none after the final one.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<News>> {
        if self.over {
            return Ok(None);
        }
        loop {
            while self.look {
                match self.gateway.queue.event_after(&self.job, self.last).await {
                    Ok(Some(event)) => return self.tell(event).await.map(Some),
                    Ok(None) => (self.look, self.failures) = (false, 0),
                    Err(error) => self.fail(error).await?,
                }
            }
            match tokio::time::timeout(LOOK, self.news.recv()).await {
                Ok(Ok(Some(passing))) if self.is_old(&passing) => {}
                Ok(Ok(Some(passing))) => return Ok(Some(News::Passing(passing))),
                Ok(Ok(None) | Err(RecvError::Lagged(_))) | Err(_) => self.look = true,
                Ok(Err(RecvError::Closed)) => {
                    self.news = self.gateway.hub.follow(&self.job);
                    self.look = true;
                }
            }
        }
    }

    /// Whether the final event was told already. A place behind the last event was never told: the
    /// stream is a new one, or somebody made it up. Then all is told from the first event on.
    pub(crate) async fn is_over(&mut self) -> anyhow::Result<bool> {
        let newest = self.gateway.queue.newest_event(&self.job).await?;
        match newest {
            Some(newest) if newest.sequence == self.last => Ok(newest.envelope.data.is_final()),
            Some(newest) if newest.sequence > self.last => Ok(false),
            _ => {
                self.last = 0;
                Ok(false)
            }
        }
    }

    /// What is not kept comes another way than what is kept, so it may come late.
    fn is_old(&self, passing: &[u8]) -> bool {
        let partial = |envelope: Envelope| matches!(envelope.data, Event::Partial { .. });
        self.heard && Envelope::read(passing, &self.job).is_some_and(partial)
    }

    async fn tell(&mut self, event: KeptEvent) -> anyhow::Result<News> {
        // After a replay the job has another run, with an end of its own.
        let is_final = event.envelope.data.is_final();
        let over = is_final && !self.gateway.queue.has_run_after(&self.job, event.sequence).await?;
        // Last: whoever gives up waiting before has not heard the event, and gets it again.
        (self.last, self.over) = (event.sequence, over);
        self.heard |= matches!(event.envelope.data, Event::Transcript { .. });
        Ok(News::Kept(Box::new(event)))
    }

    /// A link that is down comes back, and so does a server that is starting.
    async fn fail(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        self.failures += u32::from(self.gateway.queue.is_connected());
        if self.failures > FAILURES {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// A place for one more request that waits for events.
pub(crate) fn seat(gateway: &Gateway, caller: &Caller) -> Result<Seat, ApiError> {
    let refused = || too_many("requests of this caller wait for events");
    gateway.followers.take(&caller.name).ok_or_else(refused)
}

/// A caller has more of these than it may.
pub(crate) fn too_many(what: &str) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-followers", format!("too many {what}")).after(5)
}

/// All events of a job up to its end, or none if that does not come within `patience`. A refusal of
/// the message `sequence`, which is the caller's, ends it as well. `hear` gets what the stream does not
/// keep.
pub(crate) async fn end(
    gateway: &Gateway,
    (job, sequence): (&JobId, u64),
    patience: Option<Duration>,
    mut hear: impl FnMut(&Event),
) -> Result<Option<Story>, ApiError> {
    let mut follower = Follower::new(gateway, job, 0);
    let following = async {
        let mut story = Story::default();
        while let Some(news) = follower.next().await? {
            let event = match news {
                News::Kept(event) => event,
                News::Passing(payload) => {
                    Envelope::read(&payload, job).iter().for_each(|envelope| hear(&envelope.data));
                    continue;
                }
            };
            let refused = matches!(event.envelope.data, Event::Refused { message, .. } if message == sequence);
            story.events.push(event.envelope);
            if refused {
                break;
            }
        }
        anyhow::Ok(story)
    };
    let ended = match patience {
        Some(patience) => tokio::time::timeout(patience, following).await.ok().transpose(),
        None => following.await.map(Some),
    };
    ended.map_err(|error| ApiError::away(&error))
}

/// Whether a job that has ended has a result; else why not.
pub(crate) fn result(story: &Story) -> Result<(), ApiError> {
    let (code, reason) = match story.end() {
        Some(Event::Done { .. }) => return Ok(()),
        Some(Event::Failed { code, reason, .. }) => (*code, reason.as_str()),
        Some(Event::NoSpeech { reason, .. }) => (Code::NoSpeech, reason.as_str()),
        Some(Event::Canceled { .. }) => {
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "canceled", "the job was canceled"));
        }
        _ => (Code::NameUsed, story.reason().unwrap_or("another job has this name")),
    };
    let status = match code {
        Code::BadInput | Code::ModelMissing => StatusCode::BAD_REQUEST,
        Code::NoSpeech | Code::NotFound => StatusCode::UNPROCESSABLE_ENTITY,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NameUsed => StatusCode::CONFLICT,
        Code::Deadline | Code::StartBefore | Code::TimeLimit => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let error = ApiError::new(status, code.as_str(), reason);
    // The reason of a wrong field begins with its name.
    match reason.split_once(':') {
        Some((field, _)) if code == Code::BadInput && !field.contains(' ') => Err(error.about(field)),
        _ => Err(error),
    }
}
