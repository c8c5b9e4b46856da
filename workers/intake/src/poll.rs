//! Lists the bucket and compares, for stores that send no events.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use shanshui_pipeline::Failure;
use shanshui_pipeline::health::Part;
use shanshui_pipeline::store::Listed;

use crate::intake::{Intake, is_outage};

/// Objects that are taken together.
const TOGETHER: usize = 4;

/// Digests of the objects that were there at the last look: a spared question each, no more. After a
/// restart every object is asked for once.
type Seen = HashSet<u64>;

impl Intake {
    /// Looks again and again, if it is told to.
    pub(crate) async fn go_on_listing(&self) {
        let Some(pause) = self.settings.poll else { return };
        let mut seen = Seen::new();
        loop {
            let began = Instant::now();
            match self.compare(&mut seen).await {
                Ok(()) => {
                    self.metrics.listed(began.elapsed().as_secs_f64());
                    self.works(Part::Listing);
                }
                Err(failure) => self.tell(Part::Listing, &failure.into()).await,
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes every object that was not there at the last look.
    async fn compare(&self, seen: &mut Seen) -> Result<(), Failure> {
        let (mut there, mut last) = (Seen::new(), None);
        loop {
            let page = self.watched.page(&self.settings.watch.prefix, last).await?;
            let Some(newest) = page.last().map(|listed| listed.key.clone()) else { break };
            let of_others = page.iter().filter(|listed| self.settings.watch.passes_over(&listed.key).is_none());
            let (known, new): (Vec<&Listed>, Vec<&Listed>) =
                of_others.partition(|listed| seen.contains(&digest(listed)));
            there.extend(known.into_iter().map(digest));
            let taken = stream::iter(new).map(|listed| async { self.take_listed(listed).await });
            let taken: Vec<Option<u64>> = taken.buffer_unordered(TOGETHER).try_collect().await?;
            let taken: Vec<u64> = taken.into_iter().flatten().collect();
            // What was taken stays taken, whatever the next page meets.
            seen.extend(&taken);
            there.extend(taken);
            last = Some(newest);
        }
        *seen = there;
        Ok(())
    }

    /// The digest of an object that was dealt with. One that fails for a reason of its own does not keep
    /// the others waiting, and is looked at again.
    async fn take_listed(&self, listed: &Listed) -> Result<Option<u64>, Failure> {
        match self.take(&listed.key, None).await {
            Ok(_) => Ok(Some(digest(listed))),
            Err(failure) if is_outage(&failure) => Err(failure),
            Err(failure) => {
                tracing::error!(key = listed.key, reason = %failure, "cannot take an object; trying again");
                Ok(None)
            }
        }
    }
}

fn digest(listed: &Listed) -> u64 {
    let mut hasher = DefaultHasher::new();
    listed.hash(&mut hasher);
    hasher.finish()
}
