//! `shanshui gateway`: the page and the HTTP interfaces.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use shanshui_gateway::{GatewayOptions, Parts, Vocabulary};
use shanshui_paint::sampler::SamplerKind;
use shanshui_pipeline::Step;
use shanshui_pipeline::config::{NatsOptions, S3Options, TelemetryOptions};
use shanshui_pipeline::health::Part;
use shanshui_pipeline::queue::Queue;
use tokio::net::TcpListener;

use crate::exit::{Exit, OrExit, Refusal};
use crate::print;
use crate::service::Service;

/// Serve the page to speak to, and jobs over HTTP
///
/// A gateway keeps nothing: any number of them may run. Without --api-keys it serves whoever reaches its
/// address, so that only a loopback address is allowed.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    gateway: GatewayOptions,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    s3: S3Options,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// Serves until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: GatewayArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    args.gateway.check().or_exit(Exit::Usage)?;
    args.s3.check().or_exit(Exit::Usage)?;
    let mut service = Service::start(&args.telemetry, &[Part::Nats, Part::Store], Duration::ZERO).await?;
    let stop = service.shutdown.drain.clone();
    // Before the services are there: an address that is taken is an error at once.
    let listener = bind(args.gateway.gateway.unwrap_or(GatewayOptions::ADDRESS)).await.or_exit(Exit::Usage)?;
    let address = listener.local_addr()?;
    let (queue, store) = tokio::select! {
        connected = async {
            let queue = Queue::connect(&args.nats, "shanshui-gateway", steps).await?;
            service.await_link(&queue);
            queue.wait_connected().await;
            let store = service.await_store(&args.s3).await?;
            anyhow::Ok((queue, store))
        } => connected?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    service.follow_link(&queue);
    print::line(format_args!("page: http://{address}/"));
    let metrics = Arc::clone(&service.metrics);
    let parts = Parts { queue, store, metrics, options: args.gateway, words: vocabulary() };
    shanshui_gateway::serve(listener, parts, stop).await?;
    Ok(Exit::Done)
}

/// Takes an address for a gateway.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("gateway: cannot listen on {address}"))
}

/// The words of the stages that ship.
pub(crate) fn vocabulary() -> Vocabulary {
    static SAMPLERS: LazyLock<Vec<(&str, &str)>> =
        LazyLock::new(|| SamplerKind::all().map(|kind| (kind.id(), kind.display_name())).collect());
    let language = |code: &str| shanshui_transcribe::whisper::find_language(code).ok().map(|found| found.name);
    Vocabulary { language, samplers: &SAMPLERS }
}
