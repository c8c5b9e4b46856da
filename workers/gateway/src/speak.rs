//! `GET /v1/speak`, a WebSocket: sound goes in as it is recorded, words and pictures come out.

mod message;
mod session;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::server::Held;
use crate::wait;
pub(crate) use message::wav;
use session::Session;

/// What a client asks for in `Sec-WebSocket-Protocol`, if it asks for anything.
const PROTOCOL: &str = "shanshui.speak.v1";
/// Largest message of a client, in bytes.
const MESSAGE: usize = 1 << 20;

/// Takes a caller in.
pub(crate) async fn speak(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    held: Option<Extension<Held>>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let seat = wait::seat(&gateway, &caller)?;
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE).max_frame_size(MESSAGE);
    Ok(upgrade.on_upgrade(async move |socket| {
        // The connection counts, and so does the caller's place, until this is over.
        let _held = (held, seat);
        Session::new(gateway, caller, socket).serve().await;
    }))
}
