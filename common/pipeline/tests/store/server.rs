//! The S3 server of the tests, as settings of the store name it.

use std::path::PathBuf;

use clap::Parser;
use shanshui_pipeline::config::S3Options;
use shanshui_tests::{ACCESS_KEY, BUCKET, Faults, Objects, SECRET_KEY};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Must not be seen in any log.
pub(crate) const SECRET: &str = SECRET_KEY;

/// Stops when dropped.
pub(crate) struct Server {
    objects: Objects,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await?).await
    }

    pub(crate) async fn start_on(listener: TcpListener) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(BUCKET))?;
        let objects = Objects::start_on(listener.into_std()?, folder.path());
        Ok(Self { objects, _folder: folder })
    }

    /// How to reach it, and any other settings.
    pub(crate) fn options(&self, more: &[&str]) -> S3Options {
        options(&[&["--s3-endpoint", &self.objects.endpoint()], more].concat())
    }

    /// What it does wrong.
    #[allow(dead_code, reason = "for the tests of workers")]
    pub(crate) fn faults(&self) -> &Faults {
        self.objects.faults()
    }

    /// The file behind an object of the bucket.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.objects.file(key)
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
    for (flag, value) in [("--s3-access-key", ACCESS_KEY), ("--s3-secret-key", SECRET_KEY), ("--s3-bucket", BUCKET)] {
        if !flags.contains(&flag) {
            line.extend([flag, value]);
        }
    }
    line.extend(flags);
    Line::parse_from(line).s3
}
