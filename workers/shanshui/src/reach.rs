//! Connections of the commands that talk to running services.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use shanshui_pipeline::Step;
use shanshui_pipeline::config::{NatsOptions, S3Options};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::store::Store;

use crate::exit::{Exit, OrExit, Refusal};

/// Where the services are, and how long to wait for them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reach {
    #[command(flatten)]
    pub(crate) nats: NatsOptions,
    #[command(flatten)]
    pub(crate) s3: S3Options,
    /// Seconds to wait for a service that does not answer; a command gives up, a worker never does
    #[arg(
        long, env = "SHANSHUI_CONNECT_SECONDS", default_value_t = 5, global = true,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    connect_seconds: u64,
}

impl Reach {
    /// A connection to NATS that is up.
    pub(crate) async fn queue(&self, steps: &'static [Step]) -> Result<Queue, Refusal> {
        let queue = Queue::connect(&self.nats, "shanshui", steps).await.or_exit(Exit::Usage)?;
        let place = self.nats.url.rsplit('@').next().unwrap_or_default();
        let what = format!("NATS at {place}");
        let connected = self.in_time(&what, async {
            queue.wait_connected().await;
            Ok(())
        });
        let refused = |refusal: Refusal| match queue.link_state().borrow().refused() {
            Some(why) => Refusal { error: anyhow!("{what} refuses: {}", why.trim_start_matches("nats: ")), ..refusal },
            None => refusal,
        };
        connected.await.map_err(refused)?;
        Ok(queue)
    }

    /// A store whose bucket answers.
    pub(crate) async fn store(&self) -> Result<Store, Refusal> {
        self.s3.check().or_exit(Exit::Usage)?;
        self.in_time(&format!("the object store at {}", self.s3.place()), async {
            let store = Store::open(&self.s3).await?;
            store.check().await?;
            Ok(store)
        })
        .await
    }

    async fn in_time<T>(&self, what: &str, work: impl Future<Output = anyhow::Result<T>>) -> Result<T, Refusal> {
        let seconds = self.connect_seconds;
        let late = || anyhow!("cannot reach {what} within {seconds} s (--connect-seconds)");
        match tokio::time::timeout(Duration::from_secs(seconds), work).await {
            Ok(done) => done.with_context(|| format!("cannot use {what}")).or_exit(Exit::Unreachable),
            Err(_) => Err(late()).or_exit(Exit::Unreachable),
        }
    }
}
