//! The pipeline as it is now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shanshui_pipeline::names::{DEFAULT_POOL, Names, consumers};
use shanshui_pipeline::queue::{Levels, PoolLevel, Queue};
use shanshui_pipeline::{Event, Step};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Starts that are looked back on for the names of workers.
const RECENT: usize = 50;
/// A worker that has begun nothing for so long is not named, in minutes.
const SEEN: i64 = 60;

/// All stages, in the order in which a job takes them.
#[derive(Debug)]
pub struct View {
    /// One after the other.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug)]
pub struct Stage {
    /// What the program declares of it.
    pub step: &'static Step,
    /// Its queue's stream.
    pub stream: String,
    /// Where its jobs are published.
    pub subject: String,
    /// Jobs of it in DEAD; absent where no server was asked.
    pub dead: Option<u64>,
    /// Where its jobs wait.
    pub pools: Vec<Pool>,
    /// Workers that began a job within the last hour, by their names.
    pub workers: BTreeSet<String>,
}

/// One pool of a stage.
#[derive(Debug)]
pub struct Pool {
    /// What it holds.
    pub level: PoolLevel,
    /// Names of its consumers.
    pub consumers: Vec<String>,
}

impl View {
    /// What a program declares, without a server.
    #[must_use]
    pub fn declared(steps: &'static [Step], prefix: &str) -> Self {
        let names = Names::new(prefix);
        Self { stages: steps.iter().map(|step| Stage::of(step, &names)).collect() }
    }

    /// What a server says.
    ///
    /// # Errors
    /// A stream cannot be read.
    pub async fn live(queue: &Queue) -> anyhow::Result<Self> {
        let levels = queue.levels().await?;
        let workers = seen(queue).await;
        let stages = queue.steps().iter().map(|step| Stage::of(step, queue.names()).filled(&levels, &workers));
        Ok(Self { stages: stages.collect() })
    }

    /// For people.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.stages.iter().flat_map(Stage::lines)
    }

    /// For scripts.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "steps": self.stages.iter().map(Stage::json).collect::<Vec<_>>() })
    }
}

/// Names of workers by their stages; nobody where we may not read events.
async fn seen(queue: &Queue) -> BTreeMap<String, BTreeSet<String>> {
    let mut workers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let since = OffsetDateTime::now_utc() - time::Duration::minutes(SEEN);
    for envelope in queue.last_events("started", RECENT).await.unwrap_or_default() {
        let late = OffsetDateTime::parse(&envelope.time, &Rfc3339).is_ok_and(|at| at > since);
        if let (true, Event::Started { stage, worker, .. }) = (late, envelope.data) {
            workers.entry(stage).or_default().insert(worker);
        }
    }
    workers
}

impl Stage {
    fn of(step: &'static Step, names: &Names) -> Self {
        let (stream, subject) = (names.stream(&step.stream()), names.job(step.queue, "<lane>"));
        Self { step, stream, subject, dead: None, pools: Vec::new(), workers: BTreeSet::new() }
    }

    fn filled(mut self, levels: &Levels, workers: &BTreeMap<String, BTreeSet<String>>) -> Self {
        let stage = self.step.stage;
        self.dead = levels.dead.get(stage).copied();
        let own = levels.pools.iter().filter(|level| level.stage == stage).cloned();
        self.pools = own.map(|level| Pool { consumers: takers(stage, &level.pool), level }).collect();
        self.workers = workers.get(stage).cloned().unwrap_or_default();
        self
    }

    fn lines(&self) -> Vec<String> {
        let Step { stage, makes, .. } = self.step;
        let mut lines = vec![format!("{stage}: takes {} from stream {}, makes {makes}", self.subject, self.stream)];
        lines.extend(self.pools.iter().map(|pool| format!("  pool {}: {}", pool.level.pool, state(&pool.level))));
        lines.extend(self.dead.filter(|dead| *dead > 0).map(|dead| format!("  {dead} jobs in DEAD")));
        if !self.workers.is_empty() {
            let names: Vec<&str> = self.workers.iter().map(String::as_str).collect();
            lines.push(format!("  workers within the hour: {}", names.join(", ")));
        }
        lines
    }

    fn json(&self) -> Value {
        let pool = |pool: &Pool| {
            let mut object = json!(pool.level);
            object["consumers"] = pool.consumers.clone().into();
            object["abandoned"] = is_abandoned(&pool.level).into();
            object
        };
        json!({
            "stage": self.step.stage,
            "queue": self.step.queue,
            "makes": self.step.makes,
            "stream": self.stream,
            "subject": self.subject,
            "consumers": takers(self.step.stage, DEFAULT_POOL),
            "pools": self.pools.iter().map(pool).collect::<Vec<_>>(),
            "dead": self.dead,
            "workers": self.workers,
        })
    }
}

fn takers(stage: &str, pool: &str) -> Vec<String> {
    consumers(stage, pool).into_iter().map(|(name, _)| name).collect()
}

/// Jobs wait, and nobody asks for them or has one.
#[must_use]
pub fn is_abandoned(pool: &PoolLevel) -> bool {
    pool.waiting > 0 && pool.asking == 0 && pool.in_work == 0
}

/// What a pool does now, in words.
#[must_use]
pub fn state(pool: &PoolLevel) -> String {
    let oldest = pool.oldest_seconds.filter(|_| pool.waiting > 0);
    let oldest = oldest.map(|seconds| format!(" (the oldest for {seconds} s)")).unwrap_or_default();
    let lost = if is_abandoned(pool) { ", no live worker" } else { "" };
    format!("{} waiting{oldest}, {} running, {} idle workers{lost}", pool.waiting, pool.in_work, pool.asking)
}
