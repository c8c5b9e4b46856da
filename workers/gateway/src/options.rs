//! The settings of a gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use shanshui_pipeline::config::Secret;
use shanshui_pipeline::fields::FieldError;

use crate::keys::Keys;

/// Least characters of a secret.
const SECRET: usize = 24;

/// Where it listens, and whom it serves.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gateway")]
pub struct GatewayOptions {
    /// Address of the page and the HTTP interfaces; any but a loopback address needs --api-keys
    /// [default: 127.0.0.1:8080]
    #[arg(long, env = "SHANSHUI_GATEWAY", value_name = "ADDRESS")]
    pub gateway: Option<SocketAddr>,
    /// File of API keys, one a line: NAME:SHA256 or NAME:SHA256:LANE, the SHA-256 of the key in
    /// hexadecimal and the lane of its jobs; without a file nobody is asked for a key
    #[arg(long, env = "SHANSHUI_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,
    /// Largest request in MiB
    #[arg(long, env = "SHANSHUI_MAX_BODY_MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_body_mib: u64,
    /// Jobs a minute that one API key may send to this process; 0 for no limit
    #[arg(long, env = "SHANSHUI_JOBS_PER_MINUTE", default_value_t = 120, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub jobs_per_minute: u32,
    /// Secret of all gateways together, at least 24 characters: they sign webhooks with what they derive
    /// from it; without it webhooks are refused
    #[arg(long, env = "SHANSHUI_GATEWAY_SECRET", hide_env_values = true)]
    pub gateway_secret: Option<Secret>,
    /// Hosts that may receive webhooks over http and at private addresses, as a name or an address, with or
    /// without a port, separated by commas; all others need https and a public address
    #[arg(long, env = "SHANSHUI_WEBHOOK_ALLOW", value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub webhook_allow: Vec<String>,
    /// Seconds after the end of a job during which its webhook is tried
    #[arg(long, env = "SHANSHUI_WEBHOOK_SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..=518_400))]
    pub webhook_seconds: u64,
    /// Address of Wyoming, in which Home Assistant has speech heard; it knows no keys. Without it there is
    /// none
    #[arg(long, env = "SHANSHUI_WYOMING_LISTEN", value_name = "ADDRESS")]
    pub wyoming_listen: Option<SocketAddr>,
    /// Serves Wyoming to whoever reaches its address: needed for any but a loopback address
    #[arg(long, env = "SHANSHUI_WYOMING_OPEN")]
    pub wyoming_open: bool,
    /// Folder with another page, read at each request; without it the page in the program is served
    #[arg(long, env = "SHANSHUI_PAGE", value_name = "DIR")]
    pub page: Option<PathBuf>,
}

impl GatewayOptions {
    /// The address where none is given.
    pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

    /// Refuses an address that others reach while nobody is asked for a key, and keys that are none.
    ///
    /// # Errors
    /// Names the address, or the line of the file.
    pub fn check(&self) -> anyhow::Result<()> {
        Keys::read(self.api_keys.as_deref())?;
        if self.gateway_secret.as_ref().is_some_and(|secret| secret.reveal().len() < SECRET) {
            let allowed = format!("at least {SECRET} characters");
            return Err(FieldError::new("gateway-secret", "(hidden)", allowed).into());
        }
        let open = self.wyoming_listen.filter(|address| !address.ip().is_loopback() && !self.wyoming_open);
        if let Some(address) = open {
            let allowed = "a loopback address, or any with --wyoming-open";
            return Err(FieldError::new("wyoming-listen", address, allowed).into());
        }
        let open = self.gateway.filter(|address| !address.ip().is_loopback());
        match open {
            Some(address) if self.api_keys.is_none() => {
                anyhow::bail!(
                    "gateway: {address} is not allowed; allowed: a loopback address, or any with --api-keys FILE"
                )
            }
            _ => Ok(()),
        }
    }

    /// Bytes of the largest request.
    pub(crate) fn max_body(&self) -> usize {
        usize::try_from(self.max_body_mib << 20).unwrap_or(usize::MAX)
    }
}
