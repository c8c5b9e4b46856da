//! An S3 server over a folder, in this process.

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
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

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

/// What carries requests out.
#[derive(Clone)]
struct Desk {
    service: S3Service,
    /// The folder store looks whether an object is there and writes it later. Writes one at a time
    /// make `If-None-Match` as good as in an object store.
    writing: Arc<Mutex<()>>,
    errands: TaskTracker,
}

async fn serve(listener: TcpListener, service: S3Service) {
    let desk = Desk { service, writing: Arc::default(), errands: TaskTracker::new() };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let desk = desk.clone();
                    let answer = service_fn(move |request| desk.clone().answer(request));
                    connections.spawn(async move {
                        let http = Builder::new(TokioExecutor::new());
                        let served = http.serve_connection(TokioIo::new(stream), answer).await;
                        // Clients that hang up are no news.
                        served.unwrap_or_else(|error| tracing::debug!(error, "s3: a connection broke"));
                    });
                }
                Err(error) => tracing::warn!(%error, "s3: cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Desk {
    /// A request that has arrived is carried out to its end, also when its sender is gone: the
    /// folder store would leave an object without its metadata.
    async fn answer(self, request: Request<Incoming>) -> anyhow::Result<s3s::HttpResponse> {
        let (head, body) = request.into_parts();
        let whole = Request::from_parts(head, Body::from(body.collect().await?.to_bytes()));
        let errand = self.errands.clone().spawn(self.carry_out(whole));
        errand.await?.map_err(|error| anyhow!("s3: {error:?}"))
    }

    async fn carry_out(self, request: Request<Body>) -> Result<s3s::HttpResponse, s3s::HttpError> {
        let _alone = match *request.method() {
            Method::PUT => Some(self.writing.lock().await),
            _ => None,
        };
        self.service.call(request).await
    }
}
