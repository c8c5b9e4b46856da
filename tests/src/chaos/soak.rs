//! R36: one job a second for as long as it is told, with a worker killed or told to leave every
//! minute; what it measures goes to files line by line, so that an end before its time loses little.

mod sample;
mod stories;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::crew::Crew;
use super::history::History;
use super::order::Order;
use super::plan::{Pace, Plan, Trial};
use super::storm::now;
use super::{Audit, Board, OverAtPanic, check, order, publisher};
use crate::door::Door;
use crate::objects::Objects;
use crate::process::Process;
use crate::stack::Stack;
use sample::{Sampler, Table};

/// Workers of each stage: the first one is left alone and measured, the second one is broken.
const WORKERS: usize = 2;
/// Seconds from one blow to the next.
const GAP: (f64, f64) = (45.0, 75.0);
/// From one sample to the next.
const SAMPLE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(250);
/// The last jobs may wait for a lease to run out, and for the delays before attempts.
const REST: Duration = Duration::from_secs(300);

/// A soak.
#[derive(Debug, Clone)]
pub struct Soak {
    /// Every choice comes from it.
    pub seed: u64,
    /// How long jobs are published.
    pub minutes: f64,
    /// From one job to the next.
    pub every: Duration,
    /// A folder for the measurements.
    pub keep: PathBuf,
    /// More arguments for `streams apply`.
    pub settings: Vec<String>,
}

/// Carries it out; `store` starts the S3 server over a folder. Returns what must not be: jobs lost, jobs
/// doubled, another end. Whether memory is flat, the report says that reads the files.
pub fn soak(plan: &Soak, store: impl FnOnce(&Path) -> Objects, tell: &(dyn Fn(&str) + Sync)) -> Vec<String> {
    std::fs::create_dir_all(&plan.keep).expect("a folder for the measurements");
    let settings: Vec<&str> = plan.settings.iter().map(String::as_str).collect();
    let stack = Stack::with_store(store, &settings);
    let jobs = (plan.minutes * 60.0 / plan.every.as_secs_f64()).ceil() as usize;
    tell(&format!("seed {}: {jobs} jobs, one every {:?}, to {}", plan.seed, plan.every, plan.keep.display()));
    let orders = order::gentle(plan.seed, jobs);
    let (runtime, board) = (tokio::runtime::Runtime::new().expect("a runtime"), Board::default());
    let client = stack.objects().client();
    runtime.block_on(order::upload(&client));
    let followed = AtomicUsize::new(0);
    let mut command = stack.command(&["gateway", "--gateway", "127.0.0.1:0"]);
    let gateway = Process::spawn("gateway", command.env("NO_COLOR", "1"));
    let door = Door::of(&gateway);
    let log = thread::scope(|scope| {
        let _over = OverAtPanic(&board);
        scope.spawn(|| follow(&door, &orders, (&board, &followed)));
        let crew = scope.spawn(|| tend(&stack, plan, (&board, &gateway), tell));
        runtime.block_on(async {
            let publishing = publisher::publish(stack.url(), &orders, Pace::Every(plan.every), &board);
            let listening = stories::listen(stack.url(), &plan.keep, (&board, orders.len()), REST);
            tokio::join!(publishing, listening);
        });
        board.over.store(true, Ordering::Relaxed);
        crew.join().expect("the crew tells how it ended")
    });
    tell(&format!("{} jobs were followed through the gateway; judging", followed.load(Ordering::Relaxed)));
    let faults = runtime.block_on(judge(&stack, &orders, plan)).into_iter().chain(log).collect::<Vec<_>>();
    std::fs::write(plan.keep.join("faults.txt"), faults.join("\n")).expect("room for the faults");
    faults
}

async fn judge(stack: &Stack, orders: &[Order], plan: &Soak) -> Vec<String> {
    let history = History::read(stack.url()).await;
    let wanted: Vec<_> = orders.iter().map(|order| (order.id.as_str(), order.end)).collect();
    let verdict = check::check(&wanted, &history, &stack.objects().client()).await;
    let mut ends = Table::create(&plan.keep.join("ends.csv"), "end,jobs");
    verdict.ends.iter().for_each(|(kind, count)| ends.row(&[kind, count]));
    ends.row(&[&"pictures", &verdict.pictures]);
    let audit = Audit::of(stack, orders.len());
    verdict.faults().into_iter().chain(audit.doubts.into_iter().map(|doubt| format!("audit: {doubt}"))).collect()
}

/// Keeps the workers going, breaks one now and then, and samples; returns what workers did wrong.
fn tend(stack: &Stack, soak: &Soak, (board, gateway): (&Board, &Process), tell: &(dyn Fn(&str) + Sync)) -> Vec<String> {
    let _over = OverAtPanic(board);
    let trial = Trial::Storm;
    let (seed, keep) = (soak.seed, soak.keep.join("said"));
    let plan = Plan { seed, jobs: 0, workers: WORKERS, ack_wait: 30, max_deliver: 100, trial, keep };
    let mut crew = Crew::start(stack, &plan);
    let mut random = StdRng::seed_from_u64(seed ^ 1);
    let mut blows = Table::create(&soak.keep.join("blows.csv"), "at,what,seat");
    let mut sampler = Sampler::new(stack, &soak.keep);
    let (mut sampled, mut struck) = (Instant::now(), Instant::now());
    let mut gap = Duration::from_secs_f64(GAP.1);
    while !board.over.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        crew.tend(stack);
        if sampled.elapsed() >= SAMPLE {
            sampled += SAMPLE;
            sampler.sample(crew.processes().chain([("gateway".to_owned(), gateway.pid())]));
            tell(&format!("{} accepted, {} ended", number(&board.accepted), number(&board.ended)));
        }
        if struck.elapsed() >= gap && !board.calm.load(Ordering::Relaxed) {
            (struck, gap) = (Instant::now(), Duration::from_secs_f64(random.random_range(GAP.0..GAP.1)));
            // The second worker of a stage has an odd place.
            let seat = random.random_range(0..crew.workers() / WORKERS) * WORKERS + 1;
            let kill = random.random_bool(0.5);
            blows.row(&[&now(), &if kill { "SIGKILL" } else { "SIGTERM" }, &seat]);
            if kill {
                crew.kill(stack, seat);
            } else {
                crew.ask_to_leave(stack, seat);
            }
        }
    }
    let exits = crew.end();
    blows.row(&[&now(), &"left at SIGTERM with exit code 0", &exits.drained]);
    let alone = exits.alone.iter().map(|(exit, count)| format!("{count} workers ended by themselves: {exit}"));
    exits.faults.iter().cloned().chain(alone).collect()
}

/// Follows one job after the other through the gateway, as a page does.
fn follow(door: &Door, orders: &[Order], (board, followed): (&Board, &AtomicUsize)) {
    let _over = OverAtPanic(board);
    while !board.over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(2));
        let Some(order) = number(&board.accepted).checked_sub(1).map(|at| &orders[at]) else { continue };
        let events = door.follow(&format!("/v1/jobs/{}/events", order.id), &[]);
        if events.status == 200 && events.count() > 0 {
            followed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn number(count: &AtomicUsize) -> usize {
    count.load(Ordering::Relaxed)
}
