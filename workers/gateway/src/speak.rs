//! `GET /v1/speak`, a WebSocket: sound goes in as it is recorded, words and pictures come out.

mod message;
mod session;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::server::Held;
use crate::site::site;
use crate::wait;
pub(crate) use message::{GROWS, wav};
use session::Session;

/// What a client asks for in `Sec-WebSocket-Protocol`, if it asks for anything.
const PROTOCOL: &str = "shanshui.speak.v1";
/// Largest message of a client, in bytes: eight seconds of samples. Half of one may stay for as long as a socket.
const MESSAGE: usize = 256 << 10;

/// Takes a caller in.
pub(crate) async fn speak(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    held: Option<Extension<Held>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let refused = || wait::too_many("sockets of this caller are open");
    let seat = (wait::seat(&gateway, &caller)?, gateway.sockets.take(&caller.name).ok_or_else(refused)?);
    let site = site(&headers);
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE).max_frame_size(MESSAGE);
    Ok(upgrade.on_upgrade(async move |socket| {
        // The connection counts, and so does the caller's place, until this is over.
        let _held = (held, seat);
        Session::new(gateway, caller, (site, socket)).serve().await;
    }))
}
