//! The shapes of OpenAI's API, for clients that know no other: their SDKs unchanged.

pub(crate) mod audio;
mod audio_answer;
mod audio_stream;
pub(crate) mod images;
mod images_stream;
pub(crate) mod models;

use axum::http::HeaderMap;
use shanshui_client::Story;
use shanshui_pipeline::Event;
use shanshui_pipeline::job::JobId;

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::jobs::parse::Wish;
use crate::jobs::submit;
use crate::keys::Caller;
use crate::seats::Seat;
use crate::wait;
use crate::webhooks::Hook;

/// A job that is canceled unless its caller is still there at its end: these clients have no other
/// way to give a job up.
pub(crate) struct Watched {
    gateway: Gateway,
    pub(crate) id: JobId,
    pub(crate) sequence: u64,
    ended: bool,
    _seat: Seat,
}

impl Watched {
    /// Sends a job for a caller that waits. A request that is sent again under an `Idempotency-Key` is the
    /// same job.
    pub(crate) async fn send(
        gateway: &Gateway,
        caller: &Caller,
        headers: &HeaderMap,
        wish: Wish,
    ) -> Result<Self, ApiError> {
        submit::may_send(gateway, caller)?;
        let mut wish = wish.checked(gateway.queue.steps(), caller)?;
        submit::name(&mut wish, caller, headers)?;
        let sent = Self::sent(gateway, caller, (wish, None)).await;
        let mut watched = sent.map_err(|error| submit::refusal(headers, error))?;
        // Others may wait for a job that has a name of its caller's: one that hangs up does not speak for all.
        watched.ended = submit::is_named(headers);
        Ok(watched)
    }

    /// The same for a job that may name a webhook; `site` is where its caller reached us.
    pub(crate) async fn hooked(gateway: &Gateway, caller: &Caller, site: &str, wish: Wish) -> Result<Self, ApiError> {
        submit::may_send(gateway, caller)?;
        let mut wish = wish.checked(gateway.queue.steps(), caller)?;
        let lane = submit::lane(caller, None)?;
        let hook = Hook::of(gateway, caller, (&lane, site), wish.meta_mut(), None)?;
        Self::sent(gateway, caller, (wish, hook)).await
    }

    async fn sent(gateway: &Gateway, caller: &Caller, (wish, hook): (Wish, Option<Hook>)) -> Result<Self, ApiError> {
        let (lane, seat) = (submit::lane(caller, None)?, wait::seat(gateway, caller)?);
        let sent = submit::send(gateway, &lane, wish, hook.as_ref()).await?;
        let (id, sequence) = (sent.id, sent.submitted.sequence);
        Ok(Self { gateway: gateway.clone(), id, sequence, ended: false, _seat: seat })
    }

    /// Waits for the result; `hear` gets what is told on the way and not kept.
    pub(crate) async fn result(&mut self, hear: impl FnMut(&Event)) -> Result<Story, ApiError> {
        let story = wait::end(&self.gateway, (&self.id, self.sequence), None, hear).await?;
        self.ended = true;
        let story = story.ok_or_else(|| ApiError::unknown_job(&self.id))?;
        wait::result(&story).map_err(|error| error.of(&self.id))?;
        Ok(story)
    }

    /// The job has ended: nothing is left to be given up.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended {
            self.gateway.abandon(&self.id);
        }
    }
}
