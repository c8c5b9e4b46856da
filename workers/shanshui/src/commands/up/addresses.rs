//! Where the parts of a running `up` are, for its workers, for other commands and for people.

use std::net::SocketAddr;

use clap::{Args, Command};
use serde::Serialize;
use shanshui_pipeline::config::{NatsOptions, S3Options};

use crate::data::{DataDir, write_secret};
use crate::embedded::credentials::Credentials;
use crate::print;

/// Addresses of the embedded services.
pub(super) struct Addresses {
    /// `nats://…`
    pub(super) nats: String,
    /// `http://…`
    pub(super) s3: String,
    /// Of the page and the HTTP interfaces.
    pub(super) gateway: SocketAddr,
}

/// The file that other commands read as settings: its keys are the names of flags.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File<'a> {
    nats_url: &'a str,
    s3_endpoint: &'a str,
    s3_access_key: &'a str,
    s3_secret_key: &'a str,
    gateway: SocketAddr,
}

impl Addresses {
    pub(super) fn nats_options(&self) -> anyhow::Result<NatsOptions> {
        options(&[("--nats-url", &self.nats)])
    }

    pub(super) fn s3_options(&self, keys: &Credentials) -> anyhow::Result<S3Options> {
        options(&[
            ("--s3-endpoint", &self.s3),
            ("--s3-access-key", &keys.access_key),
            ("--s3-secret-key", &keys.secret_key),
        ])
    }

    /// Lets other commands on this data directory find the services.
    pub(super) fn write(&self, data: &DataDir, keys: &Credentials) -> anyhow::Result<()> {
        let file = File {
            nats_url: &self.nats,
            s3_endpoint: &self.s3,
            s3_access_key: &keys.access_key,
            s3_secret_key: &keys.secret_key,
            gateway: self.gateway,
        };
        write_secret(&data.addresses(), &toml::to_string(&file)?)
    }

    /// Says that everything is ready, where it is, and what to do with it.
    pub(super) fn announce(&self, data: &DataDir, (http, inbox): (Option<SocketAddr>, Option<&str>)) {
        let ours = DataDir::at(None).is_ok_and(|default| default.root() == data.root());
        let flag = if ours { String::new() } else { format!(" --data {}", data.root().display()) };
        let (nats, s3, file) = (&self.nats, &self.s3, data.addresses());
        print::line("shanshui is ready");
        print::line(format_args!("  page: http://{}/", self.gateway));
        print::line(format_args!("  NATS     {nats}"));
        print::line(format_args!("  S3       {s3} (bucket shanshui; keys in {})", file.display()));
        if let Some(address) = http {
            print::line(format_args!("  metrics  http://{address}/metrics"));
        }
        if let Some(prefix) = inbox {
            let folder = data.root().join("s3/shanshui").join(prefix);
            print::line(format_args!("  inbox    {}: drop recordings there", folder.display()));
        }
        print::line(format_args!("  data     {}", data.root().display()));
        print::line("try, from another terminal");
        print::line(format_args!("  shanshui draw{flag} \"high mountains and a river under a full moon\""));
        print::line(format_args!("  shanshui say{flag} recording.wav"));
        print::line(format_args!("  nats --server {nats} pub -J --no-templates shanshui.text.default \"a red apple\""));
        print::line("Ctrl-C stops it");
    }
}

/// Options with these flags and defaults otherwise; the environment speaks of other services.
fn options<A: Args>(flags: &[(&str, &String)]) -> anyhow::Result<A> {
    let command = A::augment_args(Command::new("embedded").no_binary_name(true));
    let command = command.mut_args(|arg| arg.env(None::<&'static str>));
    let flags = flags.iter().map(|(name, value)| format!("{name}={value}"));
    Ok(A::from_arg_matches(&command.try_get_matches_from(flags)?)?)
}
