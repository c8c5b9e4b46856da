//! Connections: how many, and how long a client may take to say what it wants.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 4096;
/// A client has this long for the head of a request.
const HEAD: Duration = Duration::from_secs(15);
/// Answers that are under way at the end have this long.
const LAST: Duration = Duration::from_secs(5);
/// After a failed accept, as when file descriptors are used up.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`.
pub(crate) async fn run(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let (room, mut connections) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
    loop {
        let permit = Arc::clone(&room).acquire_owned().await?;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone(), stop.clone(), permit))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            () = stop.cancelled() => break,
        }
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken, _room: OwnedSemaphorePermit) {
    // Events are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST, served).await.unwrap_or(Ok(()))
        }
    };
    // Clients that hang up are no news.
    ended.unwrap_or_else(|error| tracing::debug!(%error, "a connection broke"));
}
