//! One caller: utterances one after the other, each of them a job.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use bytes::BytesMut;
use serde_json::{Value, json};
use shanshui_pipeline::fields::FieldError;
use tokio::io::BufReader;
use tokio::net::TcpStream;

use super::event::{Event, say};
use crate::body::{self, BodyError};
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::jobs::parse::{self, Wish};
use crate::keys::Caller;
use crate::openai::Watched;
use crate::room::{Full, Place};
use crate::server::links::{Busy, Link};
use crate::speak::wav;

/// Longest wait for a caller that has not said anything yet.
const FIRST: Duration = Duration::from_secs(10);
/// Longest wait for a caller that says nothing more, before and within an utterance.
const SILENCE: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(20)];
/// Longest wait for a caller that takes nothing.
const TAKE: Duration = Duration::from_secs(60);
/// Longest utterance in seconds: something said to an assistant, and not a recording.
const SECONDS: usize = 120;
/// Longest time that an utterance takes to come, from its first event on.
const COMING: Duration = Duration::from_secs(180);
/// Sampling rates that are taken.
const RATES: std::ops::RangeInclusive<u64> = 8_000..=48_000;

pub(super) struct Session {
    gateway: Gateway,
    caller: Caller,
    stream: BufReader<TcpStream>,
    link: Arc<Link>,
}

/// What an utterance is so far.
#[derive(Default)]
struct Heard {
    /// Fields of the job.
    language: Option<String>,
    hint: Option<String>,
    /// Samples a second; 0 before it begins.
    rate: usize,
    began: Option<Instant>,
    sound: BytesMut,
    place: Option<Arc<Place>>,
    /// Its connection does not count as idle.
    busy: Option<Busy>,
}

impl Session {
    pub(super) fn new(gateway: Gateway, stream: TcpStream, link: Arc<Link>) -> Self {
        Self { gateway, caller: Caller::wyoming(), stream: BufReader::new(stream), link }
    }

    /// Serves until one side has enough.
    pub(super) async fn serve(mut self) {
        if let Err(error) = self.talk().await {
            tracing::debug!(%error, "a Wyoming connection broke");
            if error.kind() == io::ErrorKind::InvalidData {
                let _ = self.say("error", json!({ "text": error.to_string(), "code": "bad-input" })).await;
            }
        }
    }

    async fn talk(&mut self) -> io::Result<()> {
        let (mut heard, mut spoken) = (Heard::default(), false);
        loop {
            let silence = if spoken { SILENCE[usize::from(heard.rate > 0)] } else { FIRST };
            let stop = self.gateway.stop.clone();
            let event = tokio::select! {
                event = tokio::time::timeout(silence, Event::read(&mut self.stream)) => event??,
                () = stop.cancelled() => None,
            };
            let Some(event) = event else { return Ok(()) };
            spoken = true;
            let answered = match event.kind.as_str() {
                "ping" => self.say("pong", Value::Object(event.data)).await,
                "describe" => self.say("info", info(&self.gateway)).await,
                "audio-stop" if heard.rate > 0 => self.answer(std::mem::take(&mut heard)).await,
                _ => match self.hear(&mut heard, &event) {
                    Ok(()) => Ok(()),
                    Err(error) => {
                        heard = Heard::default();
                        self.refuse(&error).await
                    }
                },
            };
            answered?;
        }
    }

    /// What belongs to an utterance. Other events are for other programs.
    fn hear(&self, heard: &mut Heard, event: &Event) -> Result<(), ApiError> {
        match event.kind.as_str() {
            "transcribe" => {
                heard.language = event.text("language").map(str::to_owned);
                let words =
                    ["transcript_names", "transcript_terms"].into_iter().filter_map(|name| event.data.get(name));
                let words: Vec<_> = words.filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
                heard.hint = (!words.is_empty()).then(|| words.join(", "));
            }
            "audio-start" => {
                heard.busy = None;
                *heard = Heard {
                    rate: rate(event)?,
                    began: Some(Instant::now()),
                    busy: self.link.begin(),
                    language: heard.language.take(),
                    hint: heard.hint.take(),
                    ..Heard::default()
                };
            }
            "audio-chunk" if heard.rate > 0 => self.take(heard, event)?,
            _ => {}
        }
        Ok(())
    }

    /// One more piece of sound, within the limits of every request.
    fn take(&self, heard: &mut Heard, event: &Event) -> Result<(), ApiError> {
        let had = heard.sound.len() + event.payload.len();
        if rate(event)? != heard.rate {
            return Err(FieldError::new("rate", rate(event)?, format!("{}, as at the start", heard.rate)).into());
        }
        if heard.began.is_some_and(|began| began.elapsed() > COMING) {
            let message = BodyError::TooSlow.to_string();
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too-slow", message));
        }
        if had > SECONDS * heard.rate * 2 {
            let allowed = format!("at most {SECONDS} seconds");
            return Err(FieldError::new("audio", format!("({} seconds)", had / heard.rate / 2), allowed).into());
        }
        if had > self.gateway.options.max_body() {
            return Err(body::too_large(&BodyError::TooLarge(self.gateway.options.max_body())));
        }
        let place = heard.place.get_or_insert_with(|| self.gateway.room.place(&self.caller.name));
        place.grow(event.payload.len()).map_err(|Full| body::busy())?;
        heard.sound.extend_from_slice(&event.payload);
        Ok(())
    }

    /// Has the words written down. Whoever goes before they are there does not want them any more.
    async fn answer(&mut self, mut heard: Heard) -> io::Result<()> {
        let busy = heard.busy.take();
        let mut watched = match self.send(heard).await {
            Ok(watched) => watched,
            Err(error) => return self.refuse(&error).await,
        };
        // A job is in work for it.
        busy.iter().for_each(Busy::is_known);
        let mut byte = [0; 1];
        let told = tokio::select! {
            result = watched.result(|_| ()) => result,
            // The next event comes behind the words; the end of the connection may come at any time.
            Ok(0) | Err(_) = self.stream.get_mut().peek(&mut byte) => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        match told {
            Ok(story) => {
                let (text, language) = story.transcript().unwrap_or_default();
                self.say("transcript", json!({ "text": text.trim(), "language": language })).await
            }
            Err(error) if error.code == "no-speech" => self.say("transcript", json!({ "text": "" })).await,
            Err(error) => self.refuse(&error).await,
        }
    }

    async fn send(&self, heard: Heard) -> Result<Watched, ApiError> {
        let Heard { language, hint, rate, sound, place, .. } = heard;
        let wishes = [("until", Some("transcript".to_owned())), ("task", Some("transcribe".to_owned()))];
        let wishes = wishes.into_iter().chain([("language", language), ("hint", hint)]);
        let fields: BTreeMap<_, _> = wishes.filter_map(|(name, value)| Some((name, value?))).collect();
        let fields = parse::json(json!(fields).to_string().as_bytes())?;
        let sound = if sound.is_empty() { sound.freeze() } else { wav(&sound, rate as u32) };
        let mut wish = Wish::Audio(parse::recorded(sound, fields)?);
        wish.hold(&self.gateway, place)?;
        Watched::send(&self.gateway, &self.caller, &HeaderMap::new(), wish).await
    }

    async fn refuse(&mut self, error: &ApiError) -> io::Result<()> {
        self.say("error", json!({ "text": error.message, "code": error.code })).await
    }

    async fn say(&mut self, kind: &str, data: Value) -> io::Result<()> {
        tokio::time::timeout(TAKE, say(self.stream.get_mut(), kind, data)).await?
    }
}

/// The sampling rate of samples of 16 bits in one channel.
fn rate(event: &Event) -> Result<usize, ApiError> {
    let number = |name: &str| event.data.get(name).and_then(Value::as_u64).unwrap_or(0);
    for (name, wanted) in [("width", 2), ("channels", 1)] {
        if number(name) != wanted {
            return Err(FieldError::new(name, number(name), wanted.to_string()).into());
        }
    }
    let rate = number("rate");
    if !RATES.contains(&rate) {
        let allowed = format!("a sampling rate from {} to {}", RATES.start(), RATES.end());
        return Err(FieldError::new("rate", rate, allowed).into());
    }
    Ok(rate as usize)
}

/// What can be asked of this program.
fn info(gateway: &Gateway) -> Value {
    let letters = || 'a'..='z';
    let codes = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
    let codes = codes.chain(["haw", "yue"].map(str::to_owned));
    let languages: Vec<_> = codes.filter(|code| (gateway.words.language)(code).is_some()).collect();
    let about = |name: &str, description: &str| {
        json!({
            "name": name, "description": description, "version": env!("CARGO_PKG_VERSION"), "installed": true,
            "attribution": { "name": "Shanshui", "url": "" },
        })
    };
    let mut model = about("default", "The model of the pool `default`");
    model["languages"] = languages.into();
    let mut program = about("shanshui", "Whisper behind a queue");
    program["models"] = json!([model]);
    program["supports_transcript_streaming"] = false.into();
    json!({ "asr": [program], "tts": [], "handle": [], "intent": [], "wake": [], "mic": [], "snd": [] })
}
