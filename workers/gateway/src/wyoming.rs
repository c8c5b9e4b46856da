//! Wyoming, the protocol in which Home Assistant has speech heard: events over TCP, sound in, words out.
//! It knows no keys, so whoever reaches the address is served.

mod event;
mod session;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use session::Session;

/// Callers at a time; others are hung up on.
const CALLERS: usize = 32;
/// After a failed accept, as when file descriptors are used up.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens at the address.
///
/// # Errors
/// An address that cannot be had.
pub(crate) async fn bind(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| anyhow::anyhow!("wyoming-listen: cannot listen at {address}: {error}"))?;
    tracing::info!(address = %listener.local_addr()?, "Wyoming is served");
    Ok(Some(listener))
}

/// Serves until the gateway stops, and never ends.
pub(crate) async fn run(gateway: &Gateway, listener: Option<TcpListener>) -> Infallible {
    let Some(listener) = listener else { return std::future::pending().await };
    let (places, mut callers) = (Arc::new(Semaphore::new(CALLERS)), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        let session = Session::new(gateway.clone(), stream);
                        callers.spawn(async move {
                            session.serve().await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            () = gateway.stop.cancelled() => break,
        }
        while callers.try_join_next().is_some() {}
    }
    while callers.join_next().await.is_some() {}
    // The other connections have a few seconds more.
    std::future::pending().await
}
