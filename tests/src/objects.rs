//! An S3 server over a folder, in this process, and a client of it.

use std::convert::Infallible;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::faults::Faults;
use super::process::Process;
use super::serving::Serving;
use super::wait::PATIENCE;

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
    faults: Faults,
    server: Server,
}

enum Server {
    /// In this process, until the value is dropped.
    Here {
        _stop: oneshot::Sender<Infallible>,
    },
    Child(Process),
}

/// How [`Objects::serve_for_ever`] says where it is.
const AT: &str = "S3 at ";

impl Objects {
    /// A server on a free port over `folder`.
    pub fn start(folder: &Path) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("a free port"), folder)
    }

    /// The same, on a port that is bound already.
    pub fn start_on(listener: TcpListener, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the objects");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).expect("a store over a folder"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let address = listener.local_addr().expect("a bound port");
        let (stop, stopped) = oneshot::channel();
        let faults = Faults::new();
        let serving = Serving::new(builder.build(), faults.clone(), &folder.join(BUCKET));
        // A runtime of its own, for tests that share the server each have another one.
        thread::spawn(move || serving.run(listener, stopped));
        Self { address, folder: folder.join(BUCKET), faults, server: Server::Here { _stop: stop } }
    }

    /// A server in a process of its own, so that its memory can be told from that of the tests; the
    /// command calls [`Objects::serve_for_ever`] over the same folder. It has no faults.
    pub fn in_child(command: &mut Command, folder: &Path) -> Self {
        let child = Process::spawn("s3", command);
        let line = child.says(AT, PATIENCE);
        let address = line.strip_prefix(AT).and_then(|address| address.parse().ok()).expect("an address in the line");
        Self { address, folder: folder.join(BUCKET), faults: Faults::new(), server: Server::Child(child) }
    }

    /// Serves a folder until the process is killed.
    pub fn serve_for_ever(folder: &Path) -> ! {
        let objects = Self::start(folder);
        objects.faults.forget();
        // Whoever started this may be gone already; then nobody needs the server.
        let _ = writeln!(std::io::stdout(), "{AT}{}", objects.address);
        loop {
            thread::park();
        }
    }

    /// The number of the process that serves.
    pub fn pid(&self) -> u32 {
        match &self.server {
            Server::Here { .. } => std::process::id(),
            Server::Child(child) => child.pid(),
        }
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does wrong, and what it was asked.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// A client for the runtime of one test.
    pub fn client(&self) -> aws_sdk_s3::Client {
        client_of(&self.endpoint(), [ACCESS_KEY, SECRET_KEY])
    }

    /// The file behind an object: file systems tell its time more finely than S3 does.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }
}

/// A client of any store, for the runtime of one test.
pub fn client_of(endpoint: &str, keys: [&str; 2]) -> aws_sdk_s3::Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(keys[0], keys[1], None, None, "tests"))
        .http_client(http)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &Bytes) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
