//! A TCP proxy that breaks what goes through it, in a thread and a runtime of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// Bytes that are passed on at a time; with a speed limit, a tenth of a second's worth.
const CHUNK: usize = 64 * 1024;

/// A running proxy; it and its connections end with it.
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    _stop: oneshot::Sender<()>,
}

/// What happens to connections now.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    /// Connections of an earlier age are reset.
    age: u64,
    refused: bool,
    frozen: bool,
    bytes_per_second: Option<u64>,
    delay: Duration,
}

impl Proxy {
    /// A proxy on a free port; `target` is a host and port, asked anew for each connection.
    pub fn start(target: impl ToString) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("a bound port");
        let (rules, followed) = watch::channel(Rules::default());
        let (stop, stopped) = oneshot::channel();
        let target = target.to_string();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &target, followed) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, rules, _stop: stop }
    }

    /// Where clients find it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Resets every connection now; new ones are taken.
    pub fn cut(&self) {
        self.change(|rules| rules.age += 1);
    }

    /// Resets every connection, and new ones at once, until told otherwise.
    pub fn refuse(&self, refused: bool) {
        self.change(|rules| {
            rules.age += 1;
            rules.refused = refused;
        });
    }

    /// Half-open: connections stay, and are made, but no byte gets through either way.
    pub fn freeze(&self, frozen: bool) {
        self.change(|rules| rules.frozen = frozen);
    }

    /// Bytes a second, each way of each connection.
    pub fn slow(&self, bytes_per_second: Option<u64>) {
        self.change(|rules| rules.bytes_per_second = bytes_per_second);
    }

    /// Waits this long before it passes anything on.
    pub fn delay(&self, delay: Duration) {
        self.change(|rules| rules.delay = delay);
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        self.rules.send_modify(change);
    }
}

async fn accept(listener: TcpListener, target: &str, rules: watch::Receiver<Rules>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this runtime");
    let mut connections = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let (target, rules) = (target.to_owned(), rules.clone());
        // That an end hangs up is what a proxy is for.
        connections.spawn(async move { drop(carry(near, &target, rules).await) });
    }
}

/// One connection, until an end closes it or it is cut.
async fn carry(near: TcpStream, target: &str, mut rules: watch::Receiver<Rules>) -> io::Result<()> {
    // Without it a cut would look like an orderly end.
    near.set_zero_linger()?;
    let now = *rules.borrow_and_update();
    if now.refused {
        return Ok(());
    }
    rules.wait_for(|rules| !rules.frozen || rules.age != now.age).await.map_err(io::Error::other)?;
    let far = TcpStream::connect(target).await?;
    far.set_zero_linger()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let mut cut = rules.clone();
    tokio::select! {
        ended = pump(near_in, far_out, rules.clone()) => ended,
        ended = pump(far_in, near_out, rules) => ended,
        _ = cut.wait_for(|rules| rules.age != now.age) => Ok(()),
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut rules: watch::Receiver<Rules>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let limit = rules.borrow().bytes_per_second.map_or(CHUNK, |speed| (speed as usize / 10).clamp(1, CHUNK));
        let read = from.read(&mut chunk[..limit]).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let now = *rules.wait_for(|rules| !rules.frozen).await.map_err(io::Error::other)?;
        let pause =
            now.bytes_per_second.map_or(Duration::ZERO, |speed| Duration::from_secs_f64(read as f64 / speed as f64));
        if now.delay + pause > Duration::ZERO {
            tokio::time::sleep(now.delay + pause).await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}
