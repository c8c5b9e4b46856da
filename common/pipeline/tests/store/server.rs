//! A real S3 server over a folder, in this process, on a free port.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use hyper::Method;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use shanshui_pipeline::config::S3Options;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The bucket that is there from the start.
pub(crate) const BUCKET: &str = "pictures";
/// The only keys that the server knows.
pub(crate) const ACCESS: &str = "test-access";
/// Must not be seen in any log.
pub(crate) const SECRET: &str = "canary-secret-key";

/// Stops when dropped.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    folder: TempDir,
    _serving: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await?).await
    }

    pub(crate) async fn start_on(listener: TcpListener) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(BUCKET))?;
        let files = FileSystem::new(folder.path()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS, SECRET));
        let endpoint = format!("http://{}", listener.local_addr()?);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, builder.build()));
        Ok(Self { endpoint, folder, _serving: serving })
    }

    /// How to reach it, and any other settings.
    pub(crate) fn options(&self, more: &[&str]) -> S3Options {
        options(&[&["--s3-endpoint", &self.endpoint], more].concat())
    }

    /// The file behind an object of the bucket.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }
}

/// Settings as from a command line, the right keys and bucket included.
pub(crate) fn options(flags: &[&str]) -> S3Options {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        s3: S3Options,
    }
    let mut line = vec!["test"];
    for (flag, value) in [("--s3-access-key", ACCESS), ("--s3-secret-key", SECRET), ("--s3-bucket", BUCKET)] {
        if !flags.contains(&flag) {
            line.extend([flag, value]);
        }
    }
    line.extend(flags);
    Line::parse_from(line).s3
}

async fn serve(listener: TcpListener, service: S3Service) {
    let writing = Arc::new(Mutex::new(()));
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (service, writing) = (service.clone(), writing.clone());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (service, writing) = (service.clone(), writing.clone());
            async move {
                // The folder store looks for the object first and writes it later, with a gap
                // that an object store does not have.
                let _alone = match *request.method() {
                    Method::PUT => Some(writing.lock().await),
                    _ => None,
                };
                hyper::service::Service::call(&service, request).await
            }
        });
        connections.spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // A client that goes away is no failure of a test.
            let _ = builder.serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}
