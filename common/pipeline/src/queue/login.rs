//! Who we are to NATS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

use crate::config::{NatsOptions, UrlLogin};

/// Options with the login that was asked for; `url` is the one that the address carried.
///
/// # Errors
/// Files that cannot be read or are none of their kind.
pub(super) async fn login(options: &NatsOptions, url: Option<UrlLogin>) -> anyhow::Result<ConnectOptions> {
    if let Some(path) = &options.creds {
        return with_creds(path).await;
    }
    let mut connect = ConnectOptions::new();
    connect = match url {
        Some(UrlLogin::User(user, password)) => connect.user_and_password(user, password.reveal().to_owned()),
        Some(UrlLogin::Token(token)) => connect.token(token.reveal().to_owned()),
        None => connect,
    };
    if let Some(token) = &options.token {
        connect = connect.token(token.reveal().to_owned());
    }
    if let (Some(user), Some(password)) = (&options.user, &options.password) {
        connect = connect.user_and_password(user.clone(), password.reveal().to_owned());
    }
    if let Some(path) = &options.nkey {
        let seed = tokio::fs::read_to_string(path).await;
        let seed = seed.with_context(|| format!("nats-nkey: cannot read {}", path.display()))?;
        connect = connect.nkey(seed.trim().to_owned());
    }
    Ok(connect)
}

/// Reads the file at every login, where the client would read it once: its token runs out, and
/// whoever puts a new one there need not start a worker anew.
async fn with_creds(path: &Path) -> anyhow::Result<ConnectOptions> {
    sign(path, b"").await?;
    let path: Arc<PathBuf> = Arc::new(path.to_owned());
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let path = Arc::clone(&path);
        async move { sign(&path, &nonce).await.map_err(|error| AuthError::new(format!("{error:#}"))) }
    }))
}

/// The answer to the server's nonce. No error quotes the file.
async fn sign(path: &Path, nonce: &[u8]) -> anyhow::Result<Auth> {
    let cannot = || format!("nats-creds: cannot use {}", path.display());
    let text = tokio::fs::read_to_string(path).await.with_context(cannot)?;
    let part = |name: &str| {
        let found = part(&text, name);
        found.ok_or_else(|| anyhow!("no part {name}; `nsc generate creds` writes such files")).with_context(cannot)
    };
    let (token, seed) = (part("NATS USER JWT")?, part("USER NKEY SEED")?);
    let key = KeyPair::from_seed(seed).with_context(cannot)?;
    let mut auth = Auth::new();
    auth.jwt = Some(token.to_owned());
    auth.signature = Some(key.sign(nonce).with_context(cannot)?);
    Ok(auth)
}

/// What stands between the lines `-----BEGIN name-----` and `------END name------`.
fn part<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("BEGIN {name}"))?;
    let (inner, _) = rest.split_once(&format!("END {name}"))?;
    Some(inner.trim_matches(|c: char| c == '-' || c.is_whitespace()))
}
