//! The intake as a process: it takes what buckets tell, looks for itself, and brings results back.

use std::sync::Arc;

use anyhow::Context as _;
use shanshui_pipeline::health::{Part, Scope};
use shanshui_pipeline::names::{self, DEFAULT_POOL};
use shanshui_pipeline::queue::Inlet;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::{Failure, Queue, Store, causes};
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

/// After a failure, before the next try.
pub(crate) const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// One intake.
#[derive(Debug)]
pub struct Intake {
    pub(crate) queue: Queue,
    /// The pipeline's own bucket.
    pub(crate) store: Store,
    /// The bucket that is watched.
    pub(crate) watched: Store,
    pub(crate) settings: Settings,
    pub(crate) health: Scope,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Inlet,
    pub(crate) ends: Inlet,
}

impl Intake {
    /// Opens the consumers of this intake, and looks at its bucket.
    ///
    /// # Errors
    /// A consumer is missing, or the bucket cannot be listed.
    pub async fn start(
        (queue, store): (Queue, Store),
        settings: Settings,
        health: Scope,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let consumer = names::intake_consumer(&settings.name);
        let flags = if settings.name == DEFAULT_POOL { String::new() } else { format!(" --intake {}", settings.name) };
        let events = queue.inlet("INTAKE", &consumer, &flags).await?;
        let ends = queue.inlet("ENDS", &consumer, &flags).await?;
        let watched = store.bucket(&settings.watch.bucket);
        let looked = watched.page(&settings.watch.prefix, None).await;
        looked.with_context(|| format!("cannot watch bucket {}", settings.watch.bucket))?;
        health.up(Part::Intake);
        health.up(Part::Results);
        ["events", "results"].into_iter().for_each(|part| metrics.intake_works(part));
        Ok(Self { queue, store, watched, settings, health, metrics, events, ends })
    }

    /// Works until `stop`. What is in hand then comes again.
    pub async fn serve(&self, stop: CancellationToken) {
        let work = async {
            tokio::join!(self.go_on_reading(), self.go_on_bringing(), self.go_on_listing());
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// A part works, and when that was seen.
    pub(crate) fn works(&self, part: Part) {
        self.health.up(part);
        self.metrics.intake_works(match part {
            Part::Results => "results",
            Part::Listing => "listing",
            _ => "events",
        });
    }

    /// Says what does not work, and waits a moment.
    pub(crate) async fn tell(&self, part: Part, error: &anyhow::Error) {
        tracing::warn!(error = causes(error), ?part, "the intake meets trouble; trying again");
        self.health.down(part, causes(error));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether waiting helps, whatever the object is.
pub(crate) fn is_outage(failure: &Failure) -> bool {
    matches!(failure, Failure::Outage(_))
}
