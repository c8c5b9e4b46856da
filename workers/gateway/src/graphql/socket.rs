//! GraphQL over a WebSocket, as the sub-protocol `graphql-transport-ws` has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::Response as Said;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header::UPGRADE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::OptionFuture;
use futures::stream::{AbortHandle, BoxStream, SelectAll, abortable, once};
use serde_json::{Map, Value};
use tokio::time::{Instant as Tick, interval_at};

use super::message::{self, Said as Told, Why};
use super::{Asked, LARGEST, execute, operation};
use crate::body;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::guard;
use crate::keys::Caller;
use crate::room::Full;
use crate::seats::Seat;
use crate::server::Held;
use crate::site;
use crate::sockets;
use crate::wait;

/// Longest wait for `connection_init`.
const INIT: Duration = Duration::from_secs(10);
/// How often a client that waits is asked whether it is there.
const ASK: Duration = Duration::from_secs(15);
/// A client that waits and is silent for so long is gone.
const GONE: Duration = Duration::from_secs(60);
/// Longest silence of a client that waits for nothing.
const SILENCE: Duration = Duration::from_secs(300);
/// Operations of one socket at a time.
const OPERATIONS: usize = 64;

/// The other end is gone, or is told to go.
struct Over;

/// Takes a client in. Its key comes with the request, or with its first message.
pub(super) async fn open(
    State(gateway): State<Gateway>,
    held: Option<Extension<Held>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if !headers.contains_key(UPGRADE) {
        let message = "operations come with POST, or over a WebSocket";
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message));
    }
    let key = guard::key(&headers);
    let caller = gateway.keys.caller(key.as_deref());
    if key.is_some() && caller.is_none() {
        return Err(guard::stranger());
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([message::PROTOCOL]).max_message_size(LARGEST).max_frame_size(LARGEST),
        Err(refused) => return Ok(refused.into_response()),
    };
    let agreed = upgrade.selected_protocol().is_some();
    // Where the client reached us. Its other words were for the socket alone: each operation has its own.
    let site = headers.into_iter().filter_map(|(name, value)| Some((name.filter(site::tells)?, value))).collect();
    Ok(upgrade.on_upgrade(async move |socket| {
        let held = held.map(|Extension(held)| held);
        let mut session = Session::new(gateway, (site, socket), (held, caller));
        // However it ends, the connection is given back.
        let _over = if agreed { session.serve().await } else { session.close(message::NO_PROTOCOL).await };
        sockets::end(session.socket).await;
    }))
}

struct Session {
    gateway: Gateway,
    /// Where it reached us.
    site: HeaderMap,
    socket: WebSocket,
    /// Its connection.
    held: Option<Held>,
    /// Whose key came with the request.
    caller: Option<Caller>,
    /// Who it is, once that is said.
    begun: Option<(Caller, Seat)>,
    answers: SelectAll<BoxStream<'static, (Arc<str>, Option<Said>)>>,
    /// The operations in work.
    running: HashMap<Arc<str>, AbortHandle>,
    /// When the client last said anything.
    heard: Instant,
    opened: Instant,
}

impl Session {
    fn new(
        gateway: Gateway,
        (site, socket): (HeaderMap, WebSocket),
        (held, caller): (Option<Held>, Option<Caller>),
    ) -> Self {
        let (answers, running, now) = (SelectAll::new(), HashMap::new(), Instant::now());
        Self { gateway, site, socket, held, caller, begun: None, answers, running, heard: now, opened: now }
    }

    /// Serves until one side has enough.
    async fn serve(&mut self) -> Result<(), Over> {
        let (held, stop, mut clock) =
            (self.held.clone(), self.gateway.stop.clone(), interval_at(Tick::now() + ASK, ASK));
        loop {
            let closed = OptionFuture::from(held.as_ref().map(|held| held.closed()));
            let init = INIT.saturating_sub(self.opened.elapsed());
            tokio::select! {
                came = self.socket.recv() => self.hear(came).await?,
                Some((id, said)) = self.answers.next() => self.answer(&id, said).await?,
                () = tokio::time::sleep(init), if self.begun.is_none() => return self.close(message::TOO_LATE).await,
                _ = clock.tick() => self.ask().await?,
                Some(()) = closed => return self.close(message::TOO_MANY).await,
                () = stop.cancelled() => return self.close(message::STOPS).await,
            }
        }
    }

    /// Whether the client is still there.
    async fn ask(&mut self) -> Result<(), Over> {
        match self.heard.elapsed() {
            silent if self.running.is_empty() && silent > SILENCE => self.close(message::SILENT).await,
            _ if self.running.is_empty() => Ok(()),
            silent if silent > GONE => Err(Over),
            _ => self.send(Message::Ping(Bytes::new())).await,
        }
    }

    async fn hear(&mut self, came: Option<Result<Message, axum::Error>>) -> Result<(), Over> {
        self.heard = Instant::now();
        match came {
            Some(Ok(Message::Text(text))) => match Told::read(&text) {
                Some(told) => self.take(told, text.len()).await,
                None => self.close(message::INVALID).await,
            },
            Some(Ok(Message::Binary(_))) => self.close(message::INVALID).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Over),
        }
    }

    async fn take(&mut self, told: Told, bytes: usize) -> Result<(), Over> {
        match told {
            Told::ConnectionInit { .. } if self.begun.is_some() => self.close(message::TWICE).await,
            Told::ConnectionInit { payload } => self.begin(&payload.unwrap_or_default()).await,
            Told::Ping { .. } => self.tell(message::pong()).await,
            Told::Pong { .. } => Ok(()),
            Told::Subscribe { id, payload } => {
                let Some((caller, _)) = &self.begun else { return self.close(message::UNAUTHORIZED).await };
                if self.running.contains_key(id.as_str()) {
                    return self.close(message::USED).await;
                }
                match self.start(caller.clone(), (&id, payload), bytes) {
                    Ok(()) => Ok(()),
                    Err(error) => self.tell(message::refused(&id, error)).await,
                }
            }
            Told::Complete { id } => {
                if let Some(operation) = self.running.remove(id.as_str()) {
                    operation.abort();
                }
                Ok(())
            }
        }
    }

    /// The client says who it is.
    async fn begin(&mut self, payload: &Map<String, Value>) -> Result<(), Over> {
        let caller = match message::key(payload) {
            Some(key) => self.gateway.keys.caller(key.as_deref()),
            None => self.caller.take(),
        };
        let Some(caller) = caller else { return self.close(message::FORBIDDEN).await };
        let Some(seat) = self.gateway.sockets.take(&caller.name) else { return self.close(message::TOO_MANY).await };
        if self.held.iter().any(|held| guard::know(&self.gateway, held, &caller).is_err()) {
            return self.close(message::TOO_MANY).await;
        }
        self.begun = Some((caller, seat));
        self.tell(message::acknowledged()).await
    }

    /// Starts an operation. What it was asked with is held until its end.
    fn start(
        &mut self,
        caller: Caller,
        (id, payload): (&str, Map<String, Value>),
        bytes: usize,
    ) -> Result<(), ApiError> {
        if self.running.len() >= OPERATIONS {
            return Err(wait::too_many("operations of this socket are in work"));
        }
        let place = self.gateway.room.place(&caller.name);
        place.grow(2 * bytes).map_err(|Full| body::busy())?;
        let asked = Asked { gateway: self.gateway.clone(), caller, headers: self.site.clone() };
        let request = operation(payload)?.data(asked);
        let (id, own): (Arc<str>, Arc<str>) = (id.into(), id.into());
        let said = execute(request).map(Some).chain(once(async { None }));
        let (answers, abort) = abortable(said.map(move |said| {
            let _held = &place;
            (Arc::clone(&own), said)
        }));
        self.running.insert(id, abort);
        self.answers.push(answers.boxed());
        Ok(())
    }

    /// Tells one answer of an operation, or that none follows.
    async fn answer(&mut self, id: &str, said: Option<Said>) -> Result<(), Over> {
        let (told, goes_on) = said.map_or_else(|| (message::complete(id), false), |said| message::answer(id, &said));
        let Some(operation) = self.running.get(id) else { return Ok(()) };
        if !goes_on {
            operation.abort();
            self.running.remove(id);
        }
        self.tell(told).await
    }

    async fn tell(&mut self, value: Value) -> Result<(), Over> {
        self.send(Message::Text(value.to_string().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        self.socket.send(message).await.map_err(|_| Over)
    }

    async fn close<T>(&mut self, (code, reason): Why) -> Result<T, Over> {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
        Err(Over)
    }
}
