//! One caller on a socket: utterances one after the other, each of them a job.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use rmpv::Value as Field;
use serde_json::Value;
use shanshui_client::Story;
use shanshui_pipeline::queue::KeptEvent;
use shanshui_pipeline::{Event, JobId};

use super::message::{self, Said};
use crate::body::{self, BodyError};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::jobs::parse::{self, Wish};
use crate::jobs::{document, objects};
use crate::keys::Caller;
use crate::openai::Watched;
use crate::room::{Full, Place};
use crate::sockets;
use crate::wait::{Follower, News};

/// Longest wait for a caller that says nothing, before and within an utterance.
const SILENCE: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(20)];
/// Largest picture that is sent.
const MOST: u64 = 64 << 20;

/// The other end is gone, or is told to go.
struct Over;

/// What an utterance is so far.
#[derive(Default)]
struct Heard {
    sound: BytesMut,
    job: Option<Field>,
    pcm: Option<u32>,
    place: Option<Arc<Place>>,
}

pub(super) struct Session {
    gateway: Gateway,
    caller: Caller,
    /// Where the caller reached us.
    site: String,
    socket: WebSocket,
}

impl Session {
    pub(super) fn new(gateway: Gateway, caller: Caller, (site, socket): (String, WebSocket)) -> Self {
        Self { gateway, caller, site, socket }
    }

    /// Serves until one side has enough.
    pub(super) async fn serve(mut self) {
        while self.utterance().await.is_ok() {}
        sockets::end(self.socket).await;
    }

    /// Hears one utterance, and answers it. What is wrong with a job leaves the socket open.
    async fn utterance(&mut self) -> Result<(), Over> {
        let heard = self.hear().await?;
        let sent = async {
            let job = recorded(heard)?;
            Watched::hooked(&self.gateway, &self.caller, &self.site, Wish::Audio(job)).await
        };
        match sent.await {
            Ok(watched) => self.answer(watched).await,
            Err(error) => self.tell(message::error(&error)).await,
        }
    }

    /// Everything up to the end of an utterance.
    async fn hear(&mut self) -> Result<Heard, Over> {
        let (mut heard, stop) = (Heard::default(), self.gateway.stop.clone());
        loop {
            let silence = SILENCE[usize::from(!heard.sound.is_empty())];
            let came = tokio::select! {
                came = tokio::time::timeout(silence, self.socket.recv()) => came,
                () = stop.cancelled() => return self.close(close_code::RESTART, "the gateway stops").await,
            };
            let Ok(came) = came else { return self.close(close_code::POLICY, "nothing came for too long").await };
            match came {
                Some(Ok(Message::Binary(piece))) => {
                    if let Err(error) = self.take(&mut heard, &piece) {
                        self.tell(message::error(&error)).await?;
                        return self.close(close_code::SIZE, "no more sound is taken").await;
                    }
                }
                Some(Ok(Message::Text(text))) => match Said::read(&text) {
                    Ok(Said::Start { job, pcm }) if heard.sound.is_empty() => {
                        heard = Heard { pcm, ..Heard::default() };
                        match self.place(&mut heard, message::GROWS * text.len()) {
                            Ok(()) => heard.job = job,
                            Err(error) => self.tell(message::error(&error)).await?,
                        }
                    }
                    Ok(Said::End) => return Ok(heard),
                    Ok(Said::Cancel) => heard = Heard::default(),
                    Ok(Said::Start { .. }) => {
                        self.tell(message::error(&body::bad("message: start comes before sound"))).await?
                    }
                    Err(error) => self.tell(message::error(&error.into())).await?,
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over),
            }
        }
    }

    /// One more piece of sound, within the limits of every request.
    fn take(&self, heard: &mut Heard, piece: &Bytes) -> Result<(), ApiError> {
        let limit = self.gateway.options.max_body();
        if heard.sound.len() + piece.len() > limit {
            return Err(body::too_large(&BodyError::TooLarge(limit)));
        }
        self.place(heard, piece.len())?;
        heard.sound.extend_from_slice(piece);
        Ok(())
    }

    /// Counts so many bytes among those that are held.
    fn place(&self, heard: &mut Heard, bytes: usize) -> Result<(), ApiError> {
        let place = heard.place.get_or_insert_with(|| self.gateway.room.place(&self.caller.name));
        place.grow(bytes).map_err(|Full| body::busy())
    }

    /// Tells what becomes of a job. Whoever goes before its end does not want it any more.
    async fn answer(&mut self, mut watched: Watched) -> Result<(), Over> {
        let id = watched.id.clone();
        self.tell(message::accepted(&id)).await?;
        let (mut follower, mut story) = (Follower::new(&self.gateway, &id, 0), Story::default());
        loop {
            match self.news(&mut follower, &mut watched).await? {
                Ok(Some(News::Passing(payload))) => self.tell(message::event(&json(&payload))).await?,
                Ok(Some(News::Kept(event))) => {
                    self.tell(message::event(&json(&event.payload))).await?;
                    self.show(&mut story, *event).await?;
                }
                Ok(None) => break,
                Err(error) => {
                    self.tell(message::error(&ApiError::away(&error).of(&id))).await?;
                    return self.close(close_code::AGAIN, "the job cannot be followed").await;
                }
            }
        }
        watched.end();
        self.tell(message::end(&id, document::state(&story))).await
    }

    /// What is told next of a job. It is asked for once, whatever the client says meanwhile: each question is a
    /// request to NATS, and one that begins anew with every message never gets its answer.
    async fn news(
        &mut self,
        follower: &mut Follower,
        watched: &mut Watched,
    ) -> Result<anyhow::Result<Option<News>>, Over> {
        let stop = self.gateway.stop.clone();
        let mut news = pin!(follower.next());
        loop {
            tokio::select! {
                news = &mut news => return Ok(news),
                came = self.socket.recv() => self.interrupt(&watched.id, came).await?,
                () = stop.cancelled() => {
                    watched.end();
                    return self.close(close_code::RESTART, "the gateway stops").await;
                }
            }
        }
    }

    /// Hears what a client says while its job is in work.
    async fn interrupt(&mut self, id: &JobId, came: Option<Result<Message, axum::Error>>) -> Result<(), Over> {
        match came {
            Some(Ok(Message::Text(text))) if matches!(Said::read(&text), Ok(Said::Cancel)) => {
                self.gateway.abandon(id);
                Ok(())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                let message = "a job is in work; wait for its end, or cancel it";
                self.tell(message::error(&ApiError::new(StatusCode::CONFLICT, "job-in-work", message))).await
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Over),
        }
    }

    /// Keeps an event of the job; a picture's bytes follow it.
    async fn show(&mut self, story: &mut Story, event: KeptEvent) -> Result<(), Over> {
        let told = Story { events: vec![event.envelope.clone()], ..Story::default() };
        let is_picture = matches!(event.envelope.data, Event::Picture { .. });
        let job = JobId::parse("id", &event.envelope.subject);
        story.events.push(event.envelope);
        let Some(job) = job.ok().filter(|_| is_picture) else { return Ok(()) };
        for picture in objects::pictures(&job, &told) {
            match objects::bytes(&self.gateway, &picture, MOST).await {
                Ok(bytes) => {
                    let media = objects::media_type(&picture.key);
                    self.tell(message::picture(picture.index, media, bytes.len())).await?;
                    self.send(Message::Binary(bytes)).await?;
                }
                Err(error) => self.tell(message::error(&error.of(&job))).await?,
            }
        }
        Ok(())
    }

    async fn tell(&mut self, value: Value) -> Result<(), Over> {
        self.send(Message::Text(value.to_string().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        self.socket.send(message).await.map_err(|_| Over)
    }

    async fn close<T>(&mut self, code: u16, reason: &'static str) -> Result<T, Over> {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
        Err(Over)
    }
}

/// The job of an utterance.
fn recorded(heard: Heard) -> Result<shanshui_pipeline::job::AudioJob, ApiError> {
    let Heard { sound, job, pcm, place } = heard;
    let sound = match pcm {
        Some(rate) if !sound.is_empty() => message::wav(&sound, rate),
        _ => sound.freeze(),
    };
    if let Some(place) = &place {
        // A message of its own holds it once more.
        place.grow(sound.len()).map_err(|Full| body::busy())?;
    }
    let sound = body::kept(place.as_ref(), sound);
    Ok(parse::recorded(sound, job.unwrap_or_else(|| Field::Map(Vec::new())))?)
}

/// An event as it was published, written anew.
fn json(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_default()
}
