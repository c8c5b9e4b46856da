//! A judge of stages: runs the promises of `docs/stage.md` against any [`Stage`], on a real queue
//! and a real store.
//!
//! ```no_run
//! # use shanshui_pipeline::{JobId, Queue, Stage, Store, job::TextJob, testkit};
//! # async fn judged(stage: &impl Stage<Input = TextJob>, queue: &Queue, store: &Store) {
//! let good = async |_: &Store, _: &JobId| TextJob { text: "a red apple".into(), meta: Default::default() };
//! let wrong: [testkit::Wrong<TextJob>; 1] = [("0 steps", |job| job.meta.picture.steps = Some(0))];
//! let broken = testkit::broken_promises(stage, (queue, store), good, &wrong).await;
//! assert!(broken.is_empty(), "{broken:#?}");
//! # }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::events::Events;
use crate::failure::Failure;
use crate::job::JobId;
use crate::lease::Progress;
use crate::made::Made;
use crate::queue::Queue;
use crate::stage::{Outcome, Stage};
use crate::store::{ObjectKey, Store};
use crate::telemetry::Metrics;

/// What makes a good job a wrong one, with a name for it.
pub type Wrong<J> = (&'static str, fn(&mut J));

/// How long a stage may go on after it was told to stop: a step of a large model takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a stage with jobs that `good` makes (it may put objects there that they name), and with
/// each of them made wrong; says which promises it breaks, one line each.
///
/// The streams must be there ([`Queue::apply`]). Everything happens below prefixes of the bucket
/// that are used once.
pub async fn broken_promises<S: Stage>(
    stage: &S,
    (queue, store): (&Queue, &Store),
    good: impl AsyncFn(&Store, &JobId) -> S::Input,
    wrong: &[Wrong<S::Input>],
) -> Vec<String> {
    let judge = Judge { stage, queue, store, good };
    let job = JobId::random();
    let mut broken = judge.works_twice(&job).await.unwrap_or_else(|failure| vec![failure]);
    broken.extend(judge.goes_on_after_stop().await);
    for wrong in wrong {
        broken.extend(judge.takes(wrong).await);
    }
    broken
}

struct Judge<'a, S, G> {
    stage: &'a S,
    queue: &'a Queue,
    store: &'a Store,
    good: G,
}

/// A place in the bucket where one job is worked on.
struct Place {
    store: Store,
    job: JobId,
    /// What lay there before.
    before: Objects,
}

/// Hashes by key.
type Objects = BTreeMap<String, String>;
type Result<T> = std::result::Result<T, String>;

impl<S: Stage, G: AsyncFn(&Store, &JobId) -> S::Input> Judge<'_, S, G> {
    /// The same job a first time, once more, and where nobody has worked on it.
    async fn works_twice(&self, job: &JobId) -> Result<Vec<String>> {
        let (here, input) = self.place(job).await?;
        let progress = Arc::new(Progress::default());
        let first = self.works(&here, input, (1, &progress)).await?;
        let made = here.made().await?;
        let mut broken = here.unlisted(&first, &made);
        broken.extend(progress.follow().borrow().is_none().then(|| "it reports no progress".to_owned()));

        let again = (self.good)(&here.store, job).await;
        let second = self.works(&here, again, (2, &Arc::default())).await?;
        if listed(&second) != listed(&first) || here.made().await? != made {
            broken.push("the same job a second time makes other objects".to_owned());
        }
        let (there, input) = self.place(job).await?;
        self.works(&there, input, (1, &Arc::default())).await?;
        if there.made().await? != made {
            broken.push("the same job elsewhere makes other objects".to_owned());
        }
        Ok(broken)
    }

    async fn works(&self, place: &Place, input: S::Input, attempt: (u64, &Arc<Progress>)) -> Result<Made> {
        let context = self.context(place, attempt);
        match self.stage.run(input, &context).await {
            Ok(Outcome::Next(_, made) | Outcome::Done(made)) => Ok(made),
            Ok(Outcome::NoSpeech(reason)) => Err(format!("a good job ends without a result: {reason}")),
            Err(failure) => Err(format!("a good job fails at attempt {}: {failure}", attempt.0)),
        }
    }

    async fn goes_on_after_stop(&self) -> Option<String> {
        let (place, input) = match self.place(&JobId::random()).await {
            Ok(place) => place,
            Err(why) => return Some(why),
        };
        let context = self.context(&place, (1, &Arc::default()));
        context.stop.cancel();
        match tokio::time::timeout(PATIENCE, self.stage.run(input, &context)).await {
            Ok(Err(Failure::Interrupted)) => None,
            Ok(Ok(_)) => Some("told to stop, it finishes the job".to_owned()),
            Ok(Err(failure)) => Some(format!("told to stop, it says {failure:?} instead of Interrupted")),
            Err(_) => Some(format!("told to stop, it still works after {PATIENCE:?}")),
        }
    }

    async fn takes(&self, (what, spoil): &Wrong<S::Input>) -> Option<String> {
        let (place, mut input) = match self.place(&JobId::random()).await {
            Ok(place) => place,
            Err(why) => return Some(why),
        };
        spoil(&mut input);
        match self.stage.run(input, &self.context(&place, (1, &Arc::default()))).await {
            Err(Failure::Reject(_)) => match place.made().await {
                Ok(made) if made.is_empty() => None,
                Ok(made) => Some(format!("a wrong job ({what}) leaves objects behind: {:?}", made.keys())),
                Err(why) => Some(why),
            },
            Err(failure) => Some(format!("a wrong job ({what}) is not rejected: {failure:?}")),
            Ok(_) => Some(format!("a wrong job ({what}) is done")),
        }
    }

    /// A place of its own, with what a good job needs.
    async fn place(&self, job: &JobId) -> Result<(Place, S::Input)> {
        let store = self.store.within(&format!("trial-{}/", JobId::random()));
        let input = (self.good)(&store, job).await;
        let before = objects(&store).await?;
        Ok((Place { store, job: job.clone(), before }, input))
    }

    fn context(&self, place: &Place, (attempt, progress): (u64, &Arc<Progress>)) -> Context {
        Context {
            job: place.job.clone(),
            attempt,
            fresh: attempt == 1,
            last: false,
            stop: CancellationToken::new(),
            progress: Arc::clone(progress),
            store: place.store.clone(),
            events: Events::new(self.queue.clone(), S::NAME, "judge", 0),
            stage: S::NAME,
            metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))),
        }
    }
}

impl Place {
    /// What the stage has made.
    async fn made(&self) -> Result<Objects> {
        let mut made = objects(&self.store).await?;
        made.retain(|key, sha256| self.before.get(key) != Some(sha256));
        Ok(made)
    }

    /// Objects that do not belong to the job, that are the worker's to write, or that nobody learns
    /// of; and what is listed and not there.
    fn unlisted(&self, first: &Made, made: &Objects) -> Vec<String> {
        let job = &self.job;
        let folder = ObjectKey::File { job, name: "" }.path();
        let workers = [ObjectKey::Receipt(job).path(), ObjectKey::End { job, run: 0 }.path()];
        let listed = listed(first);
        let mut broken = Vec::new();
        for (key, sha256) in made {
            if !key.starts_with(&folder) {
                broken.push(format!("{key} is no key of the job"));
            } else if workers.contains(key) {
                broken.push(format!("{key} is the worker's to write"));
            } else if listed.get(key) != Some(sha256) {
                broken.push(format!("{key} is not listed in what was made, or with another hash"));
            }
        }
        let missing = listed.keys().filter(|key| !made.contains_key(*key) && !self.before.contains_key(*key));
        broken.extend(missing.map(|key| format!("{key} is listed in what was made, and is not there")));
        broken
    }
}

fn listed(made: &Made) -> Objects {
    made.objects.iter().map(|object| (object.key.clone(), object.sha256.clone())).collect()
}

async fn objects(store: &Store) -> Result<Objects> {
    let away = |failure: Failure| format!("the store does not answer: {failure}");
    let mut objects = Objects::new();
    for key in store.keys().await.map_err(away)? {
        objects.insert(key.clone(), store.sha256_at(&key).await.map_err(away)?);
    }
    Ok(objects)
}
