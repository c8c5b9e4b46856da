//! The embedded services of `up`.

use std::net::SocketAddr;

use super::{Addresses, UpArgs};
use crate::data::DataDir;
use crate::embedded::credentials::Credentials;
use crate::embedded::nats_server::NatsServer;
use crate::embedded::s3_server::S3Server;

/// The queue and the object store.
pub(super) struct Services {
    pub(super) nats: NatsServer,
    s3: S3Server,
    pub(super) keys: Credentials,
}

impl Services {
    pub(super) async fn start(args: &UpArgs, data: &DataDir) -> anyhow::Result<Self> {
        let keys = Credentials::at(&data.root().join("credentials.toml"))?;
        let nats = NatsServer::start(&args.nats_server, &data.folder("nats")?, args.nats_port).await?;
        match S3Server::start(&data.folder("s3")?, args.s3_port, &keys).await {
            Ok(s3) => Ok(Self { nats, s3, keys }),
            Err(error) => {
                nats.stop().await?;
                Err(error)
            }
        }
    }

    pub(super) fn addresses(&self, gateway: SocketAddr) -> Addresses {
        Addresses { nats: self.nats.url().to_owned(), s3: self.s3.url(), gateway }
    }
}
