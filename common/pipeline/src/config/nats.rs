//! How to reach NATS.

use std::path::PathBuf;

use clap::Args;

use super::Secret;

/// Connection to NATS and the names used on it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsOptions {
    /// Servers, separated by commas; tls:// asks for TLS
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
    /// Credentials file (.creds) with a JWT and its seed
    #[arg(long = "nats-creds", env = "SHANSHUI_NATS_CREDS", conflicts_with = "user", global = true)]
    pub creds: Option<PathBuf>,
    /// File with an nkey seed
    #[arg(long = "nats-nkey", env = "SHANSHUI_NATS_NKEY", conflicts_with_all = ["user", "creds"], global = true)]
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
}

impl NatsOptions {
    /// The servers' addresses without the user and password that they may carry, and those: the client
    /// logs every address it tries, at the level debug, with the password in it.
    pub(crate) fn servers(&self) -> (Vec<String>, Option<(String, Secret)>) {
        let mut login = None;
        let plain = |server: &str| {
            let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
            let host = rest.rsplit_once('@').map_or(rest, |(own, host)| {
                let (user, password) = own.split_once(':').unwrap_or((own, ""));
                login.get_or_insert_with(|| (user.to_owned(), Secret::from(password.to_owned())));
                host
            });
            format!("{scheme}://{host}")
        };
        let servers = self.url.split(',').map(str::trim).map(plain).collect();
        (servers, login)
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("a prefix is one subject token: 1 to 32 letters, digits, '-' and '_'".into())
}
