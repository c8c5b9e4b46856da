//! How to reach the object store.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::http::Uri;
use clap::Args;

use super::Secret;

/// One bucket of one S3 store, and how long to wait for it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "S3")]
pub struct S3Options {
    /// Address of a store that is not Amazon's, as http://127.0.0.1:9000; a private certificate
    /// authority is taken from the file in SSL_CERT_FILE
    #[arg(id = "s3_endpoint", long = "s3-endpoint", env = "SHANSHUI_S3_ENDPOINT", global = true)]
    pub endpoint: Option<String>,
    /// Bucket of recordings, transcripts and pictures
    #[arg(id = "s3_bucket", long = "s3-bucket", env = "SHANSHUI_S3_BUCKET", default_value = "shanshui", global = true)]
    pub bucket: String,
    /// What every key in the bucket starts with, as team-a/; only needed where several share it
    #[arg(id = "s3_prefix", long = "s3-prefix", env = "SHANSHUI_S3_PREFIX", default_value = "", value_parser = prefix, global = true)]
    pub prefix: String,
    /// Region; default: the one of the AWS environment or profile, else us-east-1, which suits
    /// most stores that are not Amazon's
    #[arg(id = "s3_region", long = "s3-region", env = "SHANSHUI_S3_REGION", global = true)]
    pub region: Option<String>,
    /// Access key; without one the AWS environment, profile, web identity and container
    /// credentials are tried
    #[arg(
        id = "s3_access_key",
        long = "s3-access-key",
        env = "SHANSHUI_S3_ACCESS_KEY",
        requires = "s3_secret_key",
        global = true
    )]
    pub access_key: Option<String>,
    /// Secret key that belongs to the access key; prefer the environment, others can see flags
    #[arg(
        id = "s3_secret_key",
        long = "s3-secret-key",
        env = "SHANSHUI_S3_SECRET_KEY",
        hide_env_values = true,
        requires = "s3_access_key",
        global = true
    )]
    pub secret_key: Option<Secret>,
    /// Session token of temporary keys
    #[arg(
        id = "s3_session_token",
        long = "s3-session-token",
        env = "SHANSHUI_S3_SESSION_TOKEN",
        hide_env_values = true,
        requires = "s3_access_key",
        global = true
    )]
    pub session_token: Option<Secret>,
    /// Put the bucket into the path (true) or into the host name (false); default: true with an
    /// endpoint, false with Amazon
    #[arg(id = "s3_path_style", long = "s3-path-style", env = "SHANSHUI_S3_PATH_STYLE", global = true)]
    pub path_style: Option<bool>,
    /// Allow an http:// endpoint on another machine: recordings then travel in the clear
    #[arg(id = "s3_allow_http", long = "s3-allow-http", env = "SHANSHUI_S3_ALLOW_HTTP", global = true)]
    pub allow_http: bool,
    /// Ask the metadata service of an EC2 machine for credentials; anywhere else it only delays
    #[arg(id = "s3_imds", long = "s3-imds", env = "SHANSHUI_S3_IMDS", global = true)]
    pub imds: bool,
    /// Seconds for one attempt of one request, the largest recording on the slowest link included
    #[arg(id = "s3_attempt_seconds", long = "s3-attempt-seconds", env = "SHANSHUI_S3_ATTEMPT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600), global = true)]
    pub attempt_seconds: u64,
    /// Seconds for one request with all its attempts (at most 5)
    #[arg(id = "s3_operation_seconds", long = "s3-operation-seconds", env = "SHANSHUI_S3_OPERATION_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600), global = true)]
    pub operation_seconds: u64,
    /// Seconds that a command waits at start for a store that does not answer; a worker and the
    /// reconciler wait as long as it takes
    #[arg(id = "s3_wait_seconds", long = "s3-wait-seconds", env = "SHANSHUI_S3_WAIT_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400), global = true)]
    pub wait_seconds: u64,
}

impl S3Options {
    /// What [`S3Options::place`] says without an endpoint.
    pub const AMAZON: &'static str = "amazon s3";

    /// Refuses settings that contradict each other or would send data in the clear.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.attempt_seconds <= self.operation_seconds,
            "s3-attempt-seconds: {} is not allowed; allowed: at most s3-operation-seconds ({})",
            self.attempt_seconds,
            self.operation_seconds
        );
        self.endpoint.as_deref().map_or(Ok(()), |endpoint| self.check_endpoint(endpoint))
    }

    /// Longest time of one request with its attempts.
    pub fn operation_time(&self) -> Duration {
        Duration::from_secs(self.operation_seconds)
    }

    /// The store in words, for messages.
    pub fn place(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(Self::AMAZON)
    }

    fn check_endpoint(&self, endpoint: &str) -> anyhow::Result<()> {
        let allowed = "http://host:port or https://host:port, without a user name";
        // The value is not repeated while it may hold a password.
        ensure!(!endpoint.contains('@'), "s3-endpoint: a user name is not allowed; allowed: {allowed}");
        let wrong = || format!("s3-endpoint: {endpoint} is not allowed; allowed: {allowed}");
        let uri: Uri = endpoint.parse().with_context(wrong)?;
        let host = uri.host().with_context(wrong)?;
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.allow_http || is_loopback(host) => Ok(()),
            Some("http") => bail!(
                "s3-endpoint: {endpoint} is not allowed, it would send recordings in the clear; \
                 allowed: https, a loopback address, or s3-allow-http"
            ),
            _ => bail!("{}", wrong()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let address = literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    address || host == "localhost" || host.ends_with(".localhost")
}

fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let parts = text.strip_suffix('/').unwrap_or(text).split('/');
    let whole = parts.into_iter().all(|part| !matches!(part, "" | "." | ".."));
    if text.is_empty() || (text.len() <= 256 && whole && text.ends_with('/') && text.chars().all(plain)) {
        return Ok(text.to_owned());
    }
    Err("a prefix ends with '/' and has at most 256 letters, digits, '.', '_', '-' and '/'".into())
}
