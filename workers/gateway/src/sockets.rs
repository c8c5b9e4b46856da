//! What all WebSockets share.

use std::time::Duration;

use axum::extract::ws::WebSocket;

/// Longest wait for the other end's goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Ends a socket as the standard wants it (RFC 6455, section 7.1): the other end's close is answered, and
/// ours arrives. What is dropped with words unread breaks off, and browsers call that 1006.
pub(crate) async fn end(mut socket: WebSocket) {
    let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
    // Whoever goes on talking has had its time.
    let _ = tokio::time::timeout(GOODBYE, rest).await;
}
