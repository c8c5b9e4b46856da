//! Everything is broken while jobs go through; then streams and objects are read, and nothing but
//! them says whether a job was lost or done twice. All choices come from one seed.

mod check;
mod cluster;
mod crew;
mod history;
mod measure;
mod order;
mod plan;
mod poison;
mod publisher;
mod report;
mod soak;
mod storm;
mod trouble;
mod watch;
mod world;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use check::Verdict;
use history::History;
use measure::Measures;
use publisher::Published;
use storm::Log;
use world::World;

use crate::stack::Stack;

pub use cluster::Cluster;
pub use order::End;
pub use plan::{Plan, Trial};
pub use poison::{Isolation, isolate};
pub use report::{Machine, report};
pub use soak::{Soak, soak};

/// R34: longest time without an acknowledgement of a publication when a leader dies.
const GAP: Duration = Duration::from_secs(10);

/// What came of one trial.
pub struct Outcome {
    plan: Plan,
    seconds: f64,
    published: Published,
    verdict: Verdict,
    audit: Audit,
    measures: Measures,
    log: Log,
}

/// What the product's own audit says of it.
struct Audit {
    accepted: u64,
    doubts: Vec<String>,
}

/// What the parts of a trial know of each other.
#[derive(Default)]
struct Board {
    accepted: AtomicUsize,
    ended: AtomicUsize,
    /// Senders have done all that they do later, too.
    sent: AtomicBool,
    /// Nothing is broken any more.
    calm: AtomicBool,
    /// Every job has ended, or it is no use to wait.
    over: AtomicBool,
}

/// A thread that panics ends the trial: the others would wait for it for ever.
struct OverAtPanic<'a>(&'a Board);

impl Drop for OverAtPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.over.store(true, Ordering::Relaxed);
        }
    }
}

impl Outcome {
    /// What must not be: jobs lost, jobs doubled, anything else that breaks the contract.
    pub fn faults(&self) -> Vec<String> {
        let slow = self.plan.trial == Trial::LeaderKilled && self.published.gap > GAP;
        let slow = slow.then(|| format!("slow: {:.1?} between two PubAcks, allowed are {GAP:?}", self.published.gap));
        let doubts = self.audit.doubts.iter().map(|doubt| format!("shanshui audit: {doubt}"));
        let faults = self.verdict.faults().into_iter().chain(self.log.faults.iter().cloned());
        faults.chain(slow).chain(doubts).collect()
    }

    /// What was broken at least once.
    pub fn broken(&self) -> Vec<&'static str> {
        self.log.counts().into_keys().collect()
    }
}

impl Audit {
    /// Has every object read; all jobs must be known, and none on its way any more.
    fn of(stack: &Stack, jobs: usize) -> Self {
        let output = stack.run(&["audit", "--objects", "--json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut doubts: Vec<_> =
            said["discrepancies"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        let accepted = said["accepted"].as_u64().unwrap_or_default();
        let whole = output.status.success() && accepted == jobs as u64 && said["in_flight"] == 0;
        if doubts.is_empty() && !whole {
            let errors = String::from_utf8_lossy(&output.stderr);
            doubts.push(format!("{}: {said} for {jobs} jobs: {errors}", output.status));
        }
        Self { accepted, doubts }
    }
}

/// Carries a trial out; `tell` hears how it goes.
pub fn run(plan: &Plan, tell: &(dyn Fn(&str) + Sync)) -> Outcome {
    tell(&format!("seed {}: {} jobs, {}", plan.seed, plan.jobs, plan.trial.title()));
    let began = Instant::now();
    let world = World::start(plan);
    let orders = order::all(plan);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let board = Board::default();
    let (proxied, direct) = (world.stack.proxied_url(), world.stack.url().to_owned());
    let store = world.stack.objects().client();
    runtime.block_on(order::upload(&store));
    let (published, (world, log)) = thread::scope(|scope| {
        let _over = OverAtPanic(&board);
        let storm = scope.spawn(|| {
            let _over = OverAtPanic(&board);
            storm::blow(world, plan, &board)
        });
        let published = runtime.block_on(async {
            let publishing = publisher::publish(&proxied, &orders, plan.pace(), &board);
            let (published, ()) = tokio::join!(publishing, watch::watch(&direct, &orders, &board, tell));
            published
        });
        board.over.store(true, Ordering::Relaxed);
        (published, storm.join().expect("the storm tells what it did"))
    });
    let history = runtime.block_on(History::read(&direct));
    let wanted: Vec<_> = orders.iter().map(|order| (order.id.as_str(), order.end)).collect();
    let verdict = runtime.block_on(check::check(&wanted, &history, &store));
    history.keep(&plan.keep.join("events.jsonl"));
    let measures = Measures::of(&history, &log);
    let audit = Audit::of(&world.stack, orders.len());
    Outcome { plan: plan.clone(), seconds: began.elapsed().as_secs_f64(), published, verdict, audit, measures, log }
}

/// What is lost, doubled or wrong in a stack, of which every job is given with its right end.
pub async fn judge(stack: &Stack, wanted: &[(&str, End)]) -> Vec<String> {
    let history = History::read(stack.url()).await;
    check::check(wanted, &history, &stack.objects().client()).await.faults()
}
