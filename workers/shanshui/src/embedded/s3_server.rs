//! An S3 server over a folder, in this process.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::credentials::Credentials;

/// The running server; dropping it closes every connection.
pub(crate) struct S3Server {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl S3Server {
    /// Serves `folder` on the loopback address; port 0 lets the system choose one.
    pub(crate) async fn start(folder: &Path, port: u16, keys: &Credentials) -> anyhow::Result<Self> {
        let files =
            FileSystem::new(folder).map_err(|error| anyhow!("s3: cannot serve {}: {error:?}", folder.display()))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(keys.access_key.clone(), keys.secret_key.clone()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("s3-port: cannot listen on 127.0.0.1:{port}"))?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, builder.build()));
        Ok(Self { address, _tasks: tasks })
    }

    /// Address for clients.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A request that has arrived whole, and who waits for the answer.
struct Errand {
    request: Request<Body>,
    reply: oneshot::Sender<Answer>,
}

/// Locks for all objects; several objects may share one.
struct Writing {
    locks: [Mutex<()>; 64],
    by: RandomState,
}

type Answer = Result<s3s::HttpResponse, s3s::HttpError>;

impl Writing {
    fn of(&self, path: &str) -> &Mutex<()> {
        &self.locks[self.by.hash_one(path) as usize % self.locks.len()]
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    let (errands, mut waiting) = mpsc::unbounded_channel();
    let writing = Arc::new(Writing { locks: std::array::from_fn(|_| Mutex::new(())), by: RandomState::new() });
    let (mut connections, mut running) = (JoinSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, errands.clone()))),
                Err(error) => tracing::warn!(%error, "s3: cannot accept a connection"),
            },
            Some(errand) = waiting.recv() => drop(running.spawn(carry_out(service.clone(), Arc::clone(&writing), errand))),
            Some(_) = connections.join_next() => {}
            Some(_) = running.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, errands: mpsc::UnboundedSender<Errand>) {
    // Head and body of an answer are two writes: the second must not wait for the first one's ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "s3: a connection keeps its delay");
    }
    let answer = service_fn(move |request| answer(request, errands.clone()));
    let served = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
    // Clients that hang up are no news.
    served.unwrap_or_else(|error| tracing::debug!(error, "s3: a connection broke"));
}

async fn answer(
    request: Request<Incoming>,
    errands: mpsc::UnboundedSender<Errand>,
) -> anyhow::Result<s3s::HttpResponse> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, Body::from(body.collect().await?.to_bytes()));
    let (reply, answer) = oneshot::channel();
    errands.send(Errand { request, reply }).map_err(|_| anyhow!("s3: the server is ending"))?;
    answer.await?.map_err(|error| anyhow!("s3: {error:?}"))
}

/// To the end, also when the sender is gone: the folder store would leave an object without its
/// metadata. It looks whether an object is there and writes it later, so writes of an object one at a time
/// make `If-None-Match` as good as in an object store.
async fn carry_out(service: S3Service, writing: Arc<Writing>, errand: Errand) {
    let _alone = match *errand.request.method() {
        Method::PUT => Some(writing.of(errand.request.uri().path()).lock().await),
        _ => None,
    };
    let answer = service.call(errand.request).await;
    // Nobody may be waiting any more.
    let _ = errand.reply.send(answer);
}
