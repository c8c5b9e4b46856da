//! What all requests share, and the life of a gateway.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shanshui_pipeline::events::Events;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::{Queue, Store, causes};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::a1111::Painting;
use crate::crew::Crew;
use crate::hub::Hub;
use crate::keys::Keys;
use crate::options::GatewayOptions;
use crate::rate::Rate;
use crate::room::Room;
use crate::seats::Seats;
use crate::topology::Topology;
use crate::{routes, server, webhooks, wyoming};

/// Requests of one caller that wait for events at a time.
const FOLLOWERS: usize = 1024;
/// Searches of one caller at a time.
const SEARCHES: usize = 16;
/// Lists of one caller at a time: each reads many messages.
const LISTS: usize = 8;
/// Sockets of one caller at a time: each may hold a message of which the end has not come.
const SOCKETS: usize = 256;

/// What a gateway works with.
pub struct Parts {
    /// The queue.
    pub queue: Queue,
    /// The bucket.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Settings, which [`GatewayOptions::check`] has seen.
    pub options: GatewayOptions,
    /// Words of the stages.
    pub words: Vocabulary,
}

/// What the stages of the program call things: the gateway knows none of them.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// English name of a language, by its code.
    pub language: fn(&str) -> Option<&'static str>,
    /// Samplers: the name in jobs, and the name that people read.
    pub samplers: &'static [(&'static str, &'static str)],
}

/// The shared state, cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) options: GatewayOptions,
    pub(crate) words: Vocabulary,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hub: Hub,
    pub(crate) crew: Crew,
    pub(crate) keys: Keys,
    pub(crate) rate: Rate,
    /// Speaks for the gateway on the stream of events.
    pub(crate) events: Events,
    /// Bytes of requests that are held.
    pub(crate) room: Arc<Room>,
    /// Requests that wait for events.
    pub(crate) followers: Seats,
    /// Requests that list jobs.
    pub(crate) lists: Seats,
    /// Sockets that are open.
    pub(crate) sockets: Seats,
    /// Requests that look for a job in the queues.
    pub(crate) searches: Seats,
    /// Held by the one of them that does so now.
    pub(crate) looking: tokio::sync::Mutex<()>,
    pub(crate) topology: Topology,
    pub(crate) stop: CancellationToken,
    /// Jobs whose caller hung up before the answer.
    abandoned: mpsc::UnboundedSender<JobId>,
    /// The A1111 request that is in work for each caller.
    painting: Mutex<HashMap<String, Painting>>,
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Serves until `stop`.
///
/// # Errors
/// A file of keys that cannot be read, an address that cannot be had.
pub async fn serve(listener: TcpListener, parts: Parts, stop: CancellationToken) -> anyhow::Result<()> {
    let (abandoned, given_up) = mpsc::unbounded_channel();
    let Parts { queue, store, metrics, options, words } = parts;
    let (keys, rate) = (Keys::read(options.api_keys.as_deref())?, Rate::per_minute(options.jobs_per_minute));
    let room = Room::new(options.max_body(), keys.are_needed());
    let events = Events::new(queue.clone(), "gateway", &std::process::id().to_string(), 0);
    let shared = Shared {
        queue,
        store,
        options,
        words,
        metrics,
        hub: Hub::default(),
        crew: Crew::default(),
        keys,
        rate,
        events,
        room,
        followers: Seats::new(FOLLOWERS),
        lists: Seats::new(LISTS),
        sockets: Seats::new(SOCKETS),
        searches: Seats::new(SEARCHES),
        looking: tokio::sync::Mutex::default(),
        topology: Topology::default(),
        stop: stop.clone(),
        abandoned,
        painting: Mutex::default(),
    };
    let gateway = Gateway(Arc::new(shared));
    let (router, speech) = (routes::router(&gateway), wyoming::bind(gateway.options.wyoming_listen).await?);
    tokio::select! {
        () = server::run(listener, router, stop) => Ok(()),
        never = gateway.hub.listen(&gateway.queue) => match never {},
        () = cancel(&gateway.queue, given_up) => Ok(()),
        never = gateway.crew.listen(&gateway.queue) => match never {},
        never = wyoming::run(&gateway, speech) => match never {},
        never = webhooks::work(&gateway) => match never {},
    }
}

impl Shared {
    /// The A1111 requests that are in work.
    pub(crate) fn painting(&self) -> MutexGuard<'_, HashMap<String, Painting>> {
        self.painting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels a job for which nobody waits any more.
    pub(crate) fn abandon(&self, job: &JobId) {
        // At the end of the process nobody listens.
        let _ = self.abandoned.send(job.clone());
    }
}

async fn cancel(queue: &Queue, mut given_up: mpsc::UnboundedReceiver<JobId>) {
    while let Some(job) = given_up.recv().await {
        match queue.cancel(&job).await {
            Ok(()) => tracing::info!(%job, "canceled: its caller hung up"),
            Err(error) => tracing::warn!(%job, error = causes(&error), "cannot cancel a job whose caller hung up"),
        }
    }
}
