//! Connections of probes and scrapers: few, and none that is silent for long. Whoever reaches the address
//! could otherwise hold all files that the process may open.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections at a time; one more closes the oldest.
const MOST: usize = 128;
/// Longest silence of a connection: longer than scrapers wait between two requests.
const SILENCE: Duration = Duration::from_secs(75);
/// After a failed accept, as when file descriptors are used up.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener of such connections.
pub(super) struct Brief {
    listener: TcpListener,
    silence: Duration,
    open: VecDeque<CancellationToken>,
}

/// One of them.
pub(super) struct Line {
    stream: TcpStream,
    silence: Duration,
    silent: Pin<Box<Sleep>>,
    close: CancellationToken,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Brief {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, silence: SILENCE, open: VecDeque::new() }
    }

    fn close_oldest(&mut self) {
        if let Some(oldest) = self.open.pop_front() {
            oldest.cancel();
        }
    }

    fn take(&mut self, stream: TcpStream) -> Line {
        self.open.retain(|close| !close.is_cancelled());
        if self.open.len() >= MOST {
            self.close_oldest();
        }
        let close = CancellationToken::new();
        self.open.push_back(close.clone());
        let (silent, closed) = (tokio::time::sleep(self.silence), close.clone().cancelled_owned());
        Line { stream, silence: self.silence, silent: Box::pin(silent), close, closed: Box::pin(closed) }
    }
}

impl axum::serve::Listener for Brief {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (self.take(stream), peer),
                Err(error) => {
                    self.close_oldest();
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Line {
    /// What came of a try, unless the connection has to go.
    fn unless_over<T>(&mut self, context: &mut Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if came.is_ready() {
            let until = Instant::now() + self.silence;
            self.silent.as_mut().reset(until);
            return came;
        }
        if self.closed.as_mut().poll(context).is_pending() {
            ready!(self.silent.as_mut().poll(context));
        }
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close.cancel();
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.stream).poll_read(context, into);
        self.unless_over(context, came)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_over(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinSet;

    use super::*;

    /// Serves in the background, with so long a silence.
    async fn serve(silence: Duration) -> (SocketAddr, JoinSet<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let brief = Brief { silence, ..Brief::new(listener) };
        let mut serving = JoinSet::new();
        serving.spawn(async { axum::serve(brief, Router::new().route("/", get(async || "alive"))).await });
        (address, serving)
    }

    async fn ends(stream: &mut TcpStream) -> bool {
        let read = tokio::time::timeout(Duration::from_secs(30), async { stream.read(&mut [0]).await });
        read.await.is_ok_and(|read| read.unwrap_or(0) == 0)
    }

    #[tokio::test]
    async fn s33_the_oldest_connection_of_a_probe_makes_room() {
        let (address, _serving) = serve(Duration::from_secs(600)).await;
        let mut silent = Vec::new();
        for _ in 0..=MOST {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ends(&mut silent[0]).await);
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut told = String::new();
        probe.read_to_string(&mut told).await.unwrap();
        assert!(told.ends_with("alive"), "{told}");
    }

    #[tokio::test]
    async fn s33_a_silent_connection_of_a_probe_ends() {
        let (address, _serving) = serve(Duration::from_millis(200)).await;
        assert!(ends(&mut TcpStream::connect(address).await.unwrap()).await);
    }
}
