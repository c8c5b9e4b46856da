//! How to reach NATS.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use percent_encoding::percent_decode_str;

use super::Secret;

/// Connection to NATS and the names used on it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsOptions {
    /// Servers, separated by commas: nats://, tls://, ws:// or wss://; a user or a token may stand
    /// before the @, percent-encoded
    #[arg(long = "nats-url", env = "SHANSHUI_NATS_URL", default_value = "nats://127.0.0.1:4222", global = true)]
    pub url: String,
    /// First token of every subject; another one than the default also starts the stream names
    #[arg(long = "prefix", env = "SHANSHUI_PREFIX", default_value = "shanshui", value_parser = prefix, global = true)]
    pub prefix: String,
    /// User name
    #[arg(long = "nats-user", env = "SHANSHUI_NATS_USER", requires = "password", global = true)]
    pub user: Option<String>,
    /// Password of the user
    #[arg(long = "nats-password", env = "SHANSHUI_NATS_PASSWORD", hide_env_values = true, global = true)]
    pub password: Option<Secret>,
    /// Token of a server that asks for one
    #[arg(
        long = "nats-token",
        env = "SHANSHUI_NATS_TOKEN",
        hide_env_values = true,
        conflicts_with = "user",
        global = true
    )]
    pub token: Option<Secret>,
    /// Credentials file (.creds) with a JWT and its seed
    #[arg(long = "nats-creds", env = "SHANSHUI_NATS_CREDS", conflicts_with_all = ["user", "token"], global = true)]
    pub creds: Option<PathBuf>,
    /// File with an nkey seed
    #[arg(long = "nats-nkey", env = "SHANSHUI_NATS_NKEY", conflicts_with_all = ["user", "token", "creds"], global = true)]
    pub nkey: Option<PathBuf>,
    /// Certificate authority (PEM) that signed the server's certificate, when it is not a public one
    #[arg(long = "nats-ca", env = "SHANSHUI_NATS_CA", global = true)]
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM) for mutual TLS
    #[arg(long = "nats-cert", env = "SHANSHUI_NATS_CERT", requires = "key", global = true)]
    pub cert: Option<PathBuf>,
    /// Key (PEM) of the client certificate
    #[arg(long = "nats-key", env = "SHANSHUI_NATS_KEY", requires = "cert", global = true)]
    pub key: Option<PathBuf>,
    /// Prefix of reply subjects, where permissions ask for one of its own
    #[arg(long = "nats-inbox", env = "SHANSHUI_NATS_INBOX", global = true)]
    pub inbox: Option<String>,
    /// JetStream domain of the queues, where the connection goes through a leaf node
    #[arg(long = "nats-domain", env = "SHANSHUI_NATS_DOMAIN", value_parser = domain, global = true)]
    pub domain: Option<String>,
}

/// The login that an address carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum UrlLogin {
    /// `user:password@`
    User(String, Secret),
    /// `token@`
    Token(Secret),
}

/// What stands before `://` in an address that we can use.
const SCHEMES: [&str; 4] = ["nats", "tls", "ws", "wss"];

impl NatsOptions {
    /// The servers' addresses without the login that they may carry, and that: the client logs every
    /// address it tries, at the level debug, with the password in it.
    ///
    /// # Errors
    /// A scheme that NATS does not have, and two servers with different logins.
    pub(crate) fn servers(&self) -> anyhow::Result<(Vec<String>, Option<UrlLogin>)> {
        let mut login: Option<UrlLogin> = None;
        let mut servers = Vec::new();
        for server in self.url.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
            let (own, host) = rest.rsplit_once('@').map_or((None, rest), |(own, host)| (Some(own), host));
            if !SCHEMES.contains(&scheme) {
                bail!("nats-url: {scheme}://{host} is not allowed; allowed: nats://, tls://, ws:// and wss://");
            }
            let own = own.map(url_login);
            if login.is_some() && own.is_some() && own != login {
                bail!("nats-url: {host} has another login than the servers before it; allowed: one for all");
            }
            login = login.or(own);
            servers.push(format!("{scheme}://{host}"));
        }
        let (web, plain): (Vec<_>, Vec<_>) = servers.iter().partition(|server: &&String| server.starts_with("ws"));
        if let (Some(web), Some(plain)) = (web.first(), plain.first()) {
            bail!("nats-url: {web} beside {plain} is not allowed; allowed: servers of one kind");
        }
        Ok((servers, login))
    }
}

/// As the other clients read it: with a colon a user and a password, without one a token.
fn url_login(text: &str) -> UrlLogin {
    let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    match text.split_once(':') {
        Some((user, password)) => UrlLogin::User(plain(user), Secret::from(plain(password))),
        None => UrlLogin::Token(Secret::from(plain(text))),
    }
}

fn domain(text: &str) -> Result<String, String> {
    let fits = |c: char| !c.is_whitespace() && !".*>".contains(c);
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("a domain is one subject token, as `domain` in the server's jetstream block names it".into())
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("a prefix is one subject token: 1 to 32 letters, digits, '-' and '_'".into())
}

#[cfg(test)]
#[path = "nats_tests.rs"]
mod tests;
