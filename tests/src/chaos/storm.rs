//! When what is broken, and when it is mended.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Board;
use super::crew::{Crew, Exits};
use super::plan::{Plan, Trial};
use super::world::World;
use crate::faults::Made;

const TICK: Duration = Duration::from_millis(50);
/// The storm ends when this share of the jobs has: what is left then ends in peace.
const ENOUGH: f64 = 0.9;

/// All that was broken.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) blows: Vec<Blow>,
    pub(super) exits: Exits,
    /// What the breaking itself found wrong.
    pub(super) faults: Vec<String>,
    /// What S3 did wrong.
    pub(super) store: Made,
}

/// One thing that was broken; times in seconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Blow {
    pub(super) what: &'static str,
    /// The worker that was killed.
    pub(super) whom: Option<String>,
    pub(super) at: f64,
    /// When it was there again.
    pub(super) back: Option<f64>,
}

type Repair = Box<dyn FnOnce(&mut Storm)>;

pub(super) struct Storm {
    pub(super) world: World,
    pub(super) crew: Crew,
    pub(super) log: Log,
    pub(super) ack_wait: u64,
    repairs: Vec<(Instant, Repair)>,
}

/// Breaks one sort of thing again and again, by a sequence of its own, so that it does not
/// depend on how fast the others go.
struct Clock {
    random: StdRng,
    due: Instant,
    /// Seconds from one blow to the next.
    gap: (f64, f64),
    strike: fn(&mut Storm, &mut StdRng),
}

/// Breaks things until the jobs have ended, and keeps the workers going; gives the world back.
pub(super) fn blow(world: World, plan: &Plan, board: &Board) -> (World, Log) {
    let crew = Crew::start(&world.stack, plan);
    let mut storm = Storm { world, crew, log: Log::default(), ack_wait: plan.ack_wait, repairs: Vec::new() };
    match plan.trial {
        Trial::Storm => storm.rage(plan, board),
        Trial::LeaderKilled => storm.once(board, Storm::kill_leader),
        Trial::ReplicaCutOff => storm.once(board, Storm::cut_leader_off),
    }
    storm.mend(|_| true);
    board.calm.store(true, Ordering::Relaxed);
    while !board.over.load(Ordering::Relaxed) {
        storm.pass();
    }
    let exits = storm.crew.end();
    storm.log.faults.extend(exits.faults.iter().cloned());
    let store = storm.world.stack.objects().faults().made();
    (storm.world, Log { exits, store, ..storm.log })
}

impl Log {
    /// How often each thing was broken.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.blows.iter().for_each(|blow| *counts.entry(blow.what).or_default() += 1);
        counts
    }
}

impl Storm {
    fn rage(&mut self, plan: &Plan, board: &Board) {
        let enough = (plan.jobs as f64 * ENOUGH) as usize;
        let mut clocks = [
            Clock::new(plan.seed, 1, (2.0, 5.0), Storm::kill_worker),
            Clock::new(plan.seed, 2, (6.0, 12.0), Storm::disturb_worker),
            Clock::new(plan.seed, 3, (25.0, 35.0), Storm::kill_queue),
            Clock::new(plan.seed, 4, (10.0, 18.0), Storm::trouble_store),
            Clock::new(plan.seed, 5, (6.0, 12.0), Storm::trouble_network),
        ];
        while board.ended.load(Ordering::Relaxed) < enough && !board.over.load(Ordering::Relaxed) {
            for clock in &mut clocks {
                if clock.due <= Instant::now() {
                    (clock.strike)(self, &mut clock.random);
                    clock.due = Instant::now() + clock.gap();
                }
            }
            self.pass();
        }
    }

    /// One blow, when the work is well on its way; lasts until it is mended.
    fn once(&mut self, board: &Board, strike: fn(&mut Self)) {
        let is_over = || board.over.load(Ordering::Relaxed);
        while board.ended.load(Ordering::Relaxed) < 5 && !is_over() {
            self.pass();
        }
        strike(self);
        while !self.repairs.is_empty() && !is_over() {
            self.pass();
        }
    }

    fn pass(&mut self) {
        let now = Instant::now();
        self.mend(|due| due <= now);
        self.crew.tend(&self.world.stack);
        thread::sleep(TICK);
    }

    fn mend(&mut self, due: impl Fn(Instant) -> bool) {
        let (now, later) = std::mem::take(&mut self.repairs).into_iter().partition(|(at, _)| due(*at));
        self.repairs = later;
        let now: Vec<(Instant, Repair)> = now;
        now.into_iter().for_each(|(_, repair)| repair(self));
    }

    /// Mends something after this many seconds.
    pub(super) fn later(&mut self, seconds: f64, repair: impl FnOnce(&mut Storm) + 'static) {
        self.repairs.push((Instant::now() + Duration::from_secs_f64(seconds), Box::new(repair)));
    }

    /// Writes a blow down; returns its place, for [`Storm::is_back`].
    pub(super) fn struck(&mut self, what: &'static str, whom: Option<String>) -> usize {
        self.log.blows.push(Blow { what, whom, at: now(), back: None });
        self.log.blows.len() - 1
    }

    pub(super) fn is_back(&mut self, blow: usize) {
        self.log.blows[blow].back = Some(now());
    }
}

impl Clock {
    fn new(seed: u64, number: u64, gap: (f64, f64), strike: fn(&mut Storm, &mut StdRng)) -> Self {
        let mut clock = Self { random: StdRng::seed_from_u64(seed ^ (number << 32)), due: Instant::now(), gap, strike };
        // The first blow comes early, for the short form.
        let first = clock.gap() / 2;
        clock.due += first;
        clock
    }

    fn gap(&mut self) -> Duration {
        Duration::from_secs_f64(self.random.random_range(self.gap.0..self.gap.1))
    }
}

pub(super) fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs_f64()
}
