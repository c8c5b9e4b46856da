//! The S3 server's connections, and what happens to a request on its way.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::Body;
use s3s::service::S3Service;
use tokio::net::TcpStream;
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::task::JoinSet;

use super::faults::{Fate, Faults};
use super::objects::BUCKET;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<Response<Body>, Failure>;

/// One S3 service behind one port.
#[derive(Clone)]
pub(crate) struct Serving {
    service: S3Service,
    faults: Faults,
    bucket: Arc<Path>,
    whole: Arc<Whole>,
}

/// The folder store looks for an object first and writes it later, and its metadata after that; an object store
/// does all of it at once. So whoever reads or writes an object holds its lock (which several objects may share),
/// and whoever does anything else holds all.
struct Whole {
    all: RwLock<()>,
    objects: [RwLock<()>; 64],
    by: RandomState,
}

/// A request that has arrived whole, and who waits for the answer.
struct Errand {
    request: Request<Body>,
    reply: oneshot::Sender<Answer>,
}

impl Serving {
    /// `bucket` is the folder of the objects.
    pub(crate) fn new(service: S3Service, faults: Faults, bucket: &Path) -> Self {
        Self { service, faults, bucket: bucket.into(), whole: Arc::new(Whole::new()) }
    }

    /// Serves until `stopped` is dropped.
    pub(crate) fn run(self, listener: TcpListener, stopped: oneshot::Receiver<Infallible>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (errands, waiting) = mpsc::unbounded_channel();
        runtime.block_on(async {
            tokio::select! {
                () = self.open_and_close(listener, &errands) => {}
                () = self.work(waiting) => {}
                _ = stopped => {}
            }
        });
    }

    async fn open_and_close(&self, listener: TcpListener, errands: &mpsc::UnboundedSender<Errand>) {
        let address = listener.local_addr().expect("a bound port");
        let mut listener = Some(listener);
        loop {
            let bound = match listener.take() {
                Some(listener) => listener,
                None => bind(address).await,
            };
            tokio::select! {
                () = self.accept(bound, errands) => {}
                () = self.faults.wait_open(false) => {}
            }
            self.faults.wait_open(true).await;
        }
    }

    async fn accept(&self, listener: TcpListener, errands: &mpsc::UnboundedSender<Errand>) {
        listener.set_nonblocking(true).expect("a socket that does not block");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this runtime");
        let mut connections = JoinSet::new();
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            while connections.try_join_next().is_some() {}
            connections.spawn(self.clone().connection(socket, errands.clone()));
        }
    }

    async fn connection(self, socket: TcpStream, errands: mpsc::UnboundedSender<Errand>) {
        // Head and body of an answer are two writes: the second must not wait for the first one's ACK.
        let _ = socket.set_nodelay(true);
        let answer = service_fn(move |request| self.clone().answer(request, errands.clone()));
        // A client that hangs up in the middle is no matter of the server's.
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
    }

    async fn answer(self, request: Request<Incoming>, errands: mpsc::UnboundedSender<Errand>) -> Answer {
        let fate = self.faults.decide(request.method().as_str(), key(request.uri()));
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Fate::Failed(status) = fate {
            self.faults.hold().await;
            return Ok(failed(status));
        }
        let (reply, answer) = oneshot::channel();
        errands.send(Errand { request: Request::from_parts(head, body.into()), reply })?;
        let answer = answer.await?;
        self.faults.hold().await;
        if fate == Fate::Lost { Err("the answer is lost".into()) } else { answer }
    }

    /// Carries requests out to the end, also when their sender is gone: an object store stores
    /// all of an object or nothing.
    async fn work(&self, mut waiting: mpsc::UnboundedReceiver<Errand>) {
        let mut running = JoinSet::new();
        while let Some(Errand { request, reply }) = waiting.recv().await {
            while running.try_join_next().is_some() {}
            let serving = self.clone();
            running.spawn(async move {
                let answer = serving.carry_out(request).await;
                // Nobody may be waiting any more.
                let _ = reply.send(answer);
            });
        }
    }

    async fn carry_out(&self, request: Request<Body>) -> Answer {
        let (method, whole) = (request.method().clone(), Arc::clone(&self.whole));
        if !is_of_one_object(&request) {
            let _alone = whole.all.write().await;
            return Ok(self.service.call(request).await?);
        }
        let (_some, object) = (whole.all.read().await, whole.of(key(request.uri())));
        if method != Method::PUT {
            let _shared = object.read().await;
            return Ok(self.service.call(request).await?);
        }
        let _alone = object.write().await;
        if self.faults.overwrites() {
            // The first write of a key has nothing to remove.
            let _ = std::fs::remove_file(self.bucket.join(key(request.uri())));
        }
        Ok(self.service.call(request).await?)
    }
}

impl Whole {
    fn new() -> Self {
        let objects = std::array::from_fn(|_| RwLock::new(()));
        Self { all: RwLock::default(), objects, by: RandomState::new() }
    }

    fn of(&self, key: &str) -> &RwLock<()> {
        &self.objects[self.by.hash_one(key) as usize % self.objects.len()]
    }
}

/// Whether a request reads or writes one object, and nothing else.
fn is_of_one_object(request: &Request<Body>) -> bool {
    let one = matches!(*request.method(), Method::GET | Method::HEAD | Method::PUT) && !key(request.uri()).is_empty();
    let parts = request.uri().query().is_some_and(|query| query.to_ascii_lowercase().contains("upload"));
    one && !parts && !request.headers().contains_key("x-amz-copy-source")
}

/// The key of an object in a path that begins with the bucket.
fn key(uri: &Uri) -> &str {
    let path = uri.path().trim_start_matches('/');
    path.strip_prefix(BUCKET).unwrap_or(path).trim_start_matches('/')
}

/// Clients look for the port that they know; for a moment another socket may have it.
async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn failed(status: u16) -> Response<Body> {
    let code = match status {
        429 => "TooManyRequests",
        503 => "SlowDown",
        _ => "InternalError",
    };
    let text = format!("<Error><Code>{code}</Code><Message>a fault of the tests</Message></Error>");
    let response = Response::builder().status(status).header("content-type", "application/xml");
    response.body(Body::from(text)).expect("a status and a header")
}
