//! Events of buckets become jobs: an event goes only when all its jobs are on the queue.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use shanshui_pipeline::delivery::Delivery;
use shanshui_pipeline::health::Part;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::queue::Burial;
use shanshui_pipeline::telemetry::Intaken;
use shanshui_pipeline::{Code, Failure};

use crate::event::{self, Found, Note};
use crate::intake::{Intake, is_outage};
use crate::take::Taken;

/// Objects of one event that are taken together.
const TOGETHER: usize = 8;
/// Deliveries of an event that meets a failure of its own.
const ATTEMPTS: u64 = 5;
/// Before an event that failed comes again.
const AGAIN: Duration = Duration::from_secs(10);
/// Before an event that met an outage comes again.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);

impl Intake {
    pub(crate) async fn go_on_reading(&self) {
        loop {
            let met = match self.events.one().await {
                Ok(None) => {
                    self.works(Part::Intake);
                    Ok(())
                }
                Ok(Some(delivery)) => self.deal_with(&delivery).await,
                Err(error) => Err(error),
            };
            if let Err(error) = met {
                self.tell(Part::Intake, &error).await;
            }
        }
    }

    async fn deal_with(&self, delivery: &Delivery) -> anyhow::Result<()> {
        let reading = event::read(delivery.original().payload, &self.settings.watch);
        for note in &reading.notes {
            match note {
                Note::Passed(what) => tracing::debug!(sequence = delivery.sequence, what, "passed over"),
                Note::Refused(reason) => tracing::warn!(sequence = delivery.sequence, reason, "an event is refused"),
            }
        }
        match self.take_all(delivery, &reading.found).await {
            Ok(()) => {
                if let Some(reason) = reading.refused() {
                    self.bury(delivery, Code::BadInput, reason).await?;
                }
                delivery.ack().await?;
                self.metrics.intaken(Intaken::Events, if reading.refused().is_some() { "refused" } else { "taken" });
                self.works(Part::Intake);
                Ok(())
            }
            Err(failure) if is_outage(&failure) => {
                self.metrics.intaken(Intaken::Events, "again");
                delivery.hand_back(AFTER_OUTAGE).await?;
                Err(failure.into())
            }
            Err(failure) if delivery.delivered < ATTEMPTS => {
                tracing::warn!(sequence = delivery.sequence, reason = %failure, "an event fails; it comes again");
                self.metrics.intaken(Intaken::Events, "again");
                delivery.hand_back(AGAIN).await
            }
            Err(failure) => {
                self.bury(delivery, failure.code(), &failure.to_string()).await?;
                self.metrics.intaken(Intaken::Events, "refused");
                delivery.ack().await
            }
        }
    }

    /// Takes every object of an event, and keeps the event meanwhile.
    async fn take_all(&self, delivery: &Delivery, found: &[Found]) -> Result<(), Failure> {
        let all = stream::iter(found).map(|found| self.take_found(found));
        let taking = all.buffer_unordered(TOGETHER).try_for_each(|_| async { Ok(()) });
        tokio::pin!(taking);
        loop {
            tokio::select! {
                taken = &mut taking => return taken,
                () = tokio::time::sleep(self.events.heartbeat) => {
                    if let Err(error) = delivery.hold().await {
                        tracing::debug!(%error, "an event may be delivered twice");
                    }
                }
            }
        }
    }

    async fn take_found(&self, found: &Found) -> Result<Taken, Failure> {
        // What a store without versions calls the only one there is.
        let version = found.version.as_deref().filter(|version| found.by_version && *version != "null");
        let taken = self.take(&found.key, version).await?;
        match &found.as_it_stands {
            // Ceph: whether a key is encoded, only the bucket knows.
            Some(key) if taken == Taken::Gone => self.take(key, version).await,
            _ => Ok(taken),
        }
    }

    /// Puts an event aside: delivered again, it would be refused again.
    async fn bury(&self, delivery: &Delivery, code: Code, reason: &str) -> anyhow::Result<()> {
        let original = delivery.original();
        let name = format!("in-{}", &sha256_hex(original.payload)[..32]);
        let burial = Burial {
            stage: "intake",
            job: &name,
            worker: &self.settings.name,
            code,
            reason,
            attempts: delivery.delivered,
            sequence: delivery.sequence,
        };
        self.queue.bury(&burial, &original).await
    }
}
