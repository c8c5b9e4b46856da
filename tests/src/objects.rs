//! An S3 server over a folder, in this process, and a client of it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Name of the one bucket.
pub const BUCKET: &str = "shanshui";
/// The one access key.
pub const ACCESS_KEY: &str = "tester";
/// Its secret.
pub const SECRET_KEY: &str = "a-secret-of-the-tests";

/// A running S3 server.
pub struct Objects {
    address: SocketAddr,
    folder: PathBuf,
    _stop: oneshot::Sender<()>,
}

impl Objects {
    /// A server on a free port over `folder`.
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the objects");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).expect("a store over a folder"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || serve(listener, &service, stopped));
        Self { address, folder: folder.join(BUCKET), _stop: stop }
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client for the runtime of one test.
    pub fn client(&self) -> aws_sdk_s3::Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.endpoint())
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests"))
            .http_client(http)
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// The file behind an object: file systems tell its time more finely than S3 does.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &Bytes) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A runtime of its own, for tests that share the server each have another one.
fn serve(listener: TcpListener, service: &S3Service, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            () = accept(listener, service) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: TcpListener, service: &S3Service) {
    listener.set_nonblocking(true).expect("a socket that does not block");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this runtime");
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            // A client that hangs up in the middle is no matter of the server's.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
