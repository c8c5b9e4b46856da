//! Wyoming, the protocol in which Home Assistant has speech heard: events over TCP, sound in, words out.
//! It knows no keys, so whoever reaches the address is served.

mod event;
mod session;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::server::links::{Limits, Link, Links};
use session::Session;

/// Callers at a time; others are hung up on. An utterance has half a minute before it makes room for others.
const CALLERS: Limits = Limits { all: 32, address: 24, patience: Duration::from_secs(30) };
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
    let (links, mut callers) = (Links::new(CALLERS), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(link) = links.admit(peer.ip()) {
                        callers.spawn(serve(gateway.clone(), stream, link));
                    }
                }
                Err(error) => {
                    links.close_one();
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

/// Serves one caller until one side has enough, or others need its place more.
async fn serve(gateway: Gateway, stream: TcpStream, link: Link) {
    let link = Arc::new(link);
    let session = Session::new(gateway, stream, Arc::clone(&link));
    tokio::select! {
        () = session.serve() => {}
        () = link.closed() => tracing::debug!("a Wyoming connection makes room for another one"),
    }
}
