//! Pictures while they are painted: coarse ones on the way, then each finished one.

use std::convert::Infallible;

use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use serde_json::{Value, json};
use shanshui_client::{Picture, Story};
use shanshui_pipeline::Event;
use shanshui_pipeline::event::Envelope;
use time::OffsetDateTime;

use super::Watched;
use super::images::{Shape, encoded, usage};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::jobs::objects;
use crate::wait::{self, Follower, News};

struct Painting {
    gateway: Gateway,
    watched: Watched,
    follower: Follower,
    shape: Shape,
    story: Story,
    shown: u64,
    over: bool,
}

/// The answer to a request that wants to see it grow.
pub(super) fn of(gateway: Gateway, watched: Watched, shape: Shape) -> Response {
    let follower = Follower::new(&gateway, &watched.id, 0);
    let story = Story::default();
    let painting = Painting { gateway, watched, follower, shape, story, shown: 0, over: false };
    let events = unfold(painting, |mut painting| async move {
        if painting.over {
            return None;
        }
        let told = painting.next().await.unwrap_or_else(|error| {
            painting.over = true;
            Some(error.value())
        });
        let sent = Sent::default().data(told?.to_string());
        Some((Ok::<_, Infallible>(sent), painting))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Painting {
    /// What is told next; none at the end.
    async fn next(&mut self) -> Result<Option<Value>, ApiError> {
        loop {
            let news = self.follower.next().await.map_err(|error| ApiError::away(&error))?;
            match news {
                Some(News::Passing(payload)) => {
                    if let Some(partial) = self.partial(&payload) {
                        return Ok(Some(partial));
                    }
                }
                Some(News::Kept(event)) => {
                    let refused = matches!(event.envelope.data, Event::Refused { message, .. } if message == self.watched.sequence);
                    self.story.events.push(event.envelope.clone());
                    if let Event::Picture { index, .. } = event.envelope.data {
                        return self.completed(index).await.map(Some);
                    }
                    if refused || event.envelope.data.is_final() {
                        self.watched.end();
                        wait::result(&self.story)?;
                        return Ok(None);
                    }
                }
                None => return Ok(None),
            }
        }
    }

    fn partial(&mut self, payload: &[u8]) -> Option<Value> {
        let envelope = Envelope::read(payload, &self.watched.id)?;
        let Event::Preview { png, width, height, .. } = envelope.data else { return None };
        if self.shown >= self.shape.partial {
            return None;
        }
        let mut told = self.described("image_generation.partial_image", png, (width, height));
        told["partial_image_index"] = self.shown.into();
        told["output_format"] = "png".into();
        self.shown += 1;
        Some(told)
    }

    async fn completed(&self, index: u32) -> Result<Value, ApiError> {
        let picture =
            objects::pictures(&self.watched.id, &self.story).into_iter().find(|picture| picture.index == index);
        let picture: Picture = picture.ok_or_else(|| ApiError::missing("the picture is gone"))?;
        let bytes = encoded(&self.gateway, &picture).await?;
        let mut told = self.described("image_generation.completed", bytes, picture.size);
        told["usage"] = usage(1);
        Ok(told)
    }

    fn described(&self, kind: &str, bytes: String, (width, height): (u32, u32)) -> Value {
        json!({
            "type": kind, "b64_json": bytes, "created_at": OffsetDateTime::now_utc().unix_timestamp(),
            "size": format!("{width}x{height}"), "quality": "auto", "background": "opaque",
            "output_format": self.shape.format,
        })
    }
}
