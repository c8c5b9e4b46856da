//! Connections: how many, and how long a client may take to say what it wants and to take the answer.

mod answering;
mod limits;
pub(crate) mod links;
mod owed;
mod timed;

use std::io::Write;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::HOST;
use axum::http::{HeaderValue, Response, StatusCode, Version};
use axum::response::IntoResponse;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use answering::{Answering, PIECE};
use links::{Busy, Limits, Link, Links};
use owed::Owed;
use timed::Timed;

/// A client has this long for the head of a request.
const HEAD: Duration = Duration::from_secs(15);
/// A client that takes nothing of its answer for so long gets no more of it.
const TAKE: Duration = Duration::from_secs(60);
/// An HTTP/2 client is asked so often whether it is there, and has as long to say so.
const PING: Duration = Duration::from_secs(20);
/// Bytes that are held of the head of a request, and of a body before anybody reads it.
const BUFFER: usize = 64 << 10;
/// Requests at a time of one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Bytes that an HTTP/2 client may send ahead: of one request, and of a connection.
const WINDOWS: [u32; 2] = [256 << 10, 512 << 10];
/// Answers that are under way at the end have this long.
const LAST: Duration = Duration::from_secs(5);
/// After a failed accept, as when file descriptors are used up.
const PAUSE: Duration = Duration::from_millis(100);
/// What a connection gets for which there is no room.
const REFUSED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves until `stop`.
pub(crate) async fn run(listener: TcpListener, router: Router, stop: CancellationToken) {
    within(limits::connections(), listener, router, stop).await;
}

async fn within(limits: Limits, listener: TcpListener, router: Router, stop: CancellationToken) {
    let (links, mut connections) = (Links::new(limits), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match links.admit(peer.ip()) {
                    Some(link) => drop(connections.spawn(connection(stream, router.clone(), stop.clone(), link))),
                    None => refuse(stream),
                },
                Err(error) => {
                    // Perhaps no more files may be open: whoever waits for nothing makes room.
                    let closed = links.close_one().is_some();
                    tracing::warn!(%error, closed, "cannot accept a connection; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            () = stop.cancelled() => break,
        }
        while connections.try_join_next().is_some() {}
        // Those that were told to go have a file open until they are gone.
        while connections.len() > limits.all {
            connections.join_next().await;
        }
    }
    while connections.join_next().await.is_some() {}
}

/// A new connection takes so little at once; tokio's own does not know yet that it does.
fn refuse(stream: TcpStream) {
    let written = stream.into_std().and_then(|mut stream| stream.write_all(REFUSED));
    written.unwrap_or_else(|error| tracing::debug!(%error, "cannot refuse a connection"));
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken, link: Link) {
    // Events are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let (router, link, owed) = (TowerToHyperService::new(router), Arc::new(link), Arc::new(Owed::default()));
    let own = (Arc::clone(&link), Arc::clone(&owed));
    let counted = service_fn(move |mut request: Request<Incoming>| {
        let (link, owed) = &own;
        let answer = Some(owed.ask()).filter(|_| request.version() == Version::HTTP_2);
        named(&mut request);
        let work = link.begin().map(|busy| {
            let busy = Arc::new(busy);
            request.extensions_mut().insert(Held { busy: Arc::clone(&busy), link: Arc::clone(link) });
            (busy, router.call(request))
        });
        async move {
            let Some((busy, answering)) = work else { return Ok(refused()) };
            answering.await.map(|response| response.map(|body| Answering::new(body, Some(busy), answer)))
        }
    });
    let builder = protocols();
    let served = builder.serve_connection_with_upgrades(TokioIo::new(Timed::new(stream, TAKE)), counted);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = link.closed() => Ok(()),
        () = owed.silent(HEAD) => Ok(()),
        () = owed.stalled(TAKE) => Ok(()),
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST, served).await.unwrap_or(Ok(()))
        }
    };
    // Clients that hang up are no news.
    ended.unwrap_or_else(|error| tracing::debug!(%error, "a connection broke"));
}

/// HTTP/1.1, and HTTP/2 for clients that begin with it, as those of gRPC do.
fn protocols() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(Some(PING)).keep_alive_timeout(PING);
    http2.max_concurrent_streams(STREAMS).max_send_buf_size(PIECE);
    http2.initial_stream_window_size(WINDOWS[0]).initial_connection_window_size(WINDOWS[1]);
    builder
}

/// The host that is asked for may be part of the address, as it always is over HTTP/2; then it is what counts
/// (RFC 9112, section 3.2.2). All that look for it look for `Host`.
fn named(request: &mut Request<Incoming>) {
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority {
        request.headers_mut().insert(HOST, authority);
    }
}

/// For one request too many on a connection that has others in work.
fn refused() -> Response<Answering> {
    let message = "too many requests are in work";
    let refused = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).after(5).into_response();
    refused.map(|body| Answering::new(body, None, None))
}

/// A request in work as long as this is there, and its connection: that of a WebSocket goes on behind its
/// answer.
#[derive(Clone)]
pub(crate) struct Held {
    busy: Arc<Busy>,
    #[cfg_attr(not(feature = "graphql"), expect(dead_code, reason = "held, not read"))]
    link: Arc<Link>,
}

#[cfg(feature = "graphql")]
impl Held {
    /// Ends when the connection has to go.
    pub(crate) async fn closed(&self) {
        self.link.closed().await;
    }
}

impl Deref for Held {
    type Target = Busy;

    fn deref(&self) -> &Busy {
        &self.busy
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::body::Body;
    use axum::routing::get;
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const WANTED: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    async fn said(link: &mut TcpStream) -> String {
        let mut bytes = [0; 64];
        let read = tokio::time::timeout(Duration::from_secs(5), link.read(&mut bytes)).await.unwrap();
        String::from_utf8_lossy(&bytes[..read.unwrap_or(0)]).into_owned()
    }

    #[tokio::test]
    async fn s20_idle_connections_make_room_and_busy_ones_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let never = get(async |held: Extension<Held>| {
            held.is_known();
            Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>())
        });
        let (router, stop) = (Router::new().route("/", never), CancellationToken::new());
        let mut serving = JoinSet::new();
        let limits = Limits { all: 4, address: 2, patience: Duration::ZERO };
        serving.spawn(within(limits, listener, router, stop.clone()));
        let mut links = Vec::new();
        for _ in 0..3 {
            links.push(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(said(&mut links[0]).await, "");
        for link in &mut links[1..] {
            link.write_all(WANTED).await.unwrap();
            assert!(said(link).await.starts_with("HTTP/1.1 200 OK"));
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        assert!(said(&mut late).await.starts_with("HTTP/1.1 503 "));
        drop(links);
        stop.cancel();
        serving.join_next().await.unwrap().unwrap();
    }
}
