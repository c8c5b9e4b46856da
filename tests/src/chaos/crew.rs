//! The workers and the reconciler: killed, asked to leave, put to sleep, and started again as an orchestrator would.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::plan::Plan;
use crate::paths::whisper;
use crate::process::Process;
use crate::stack::Stack;
use crate::steps::steps;

/// Attempts of a job: each kill is one.
pub(super) const ATTEMPTS: &str = "100";
const RECONCILE: &str = "reconcile";
/// Seconds from one audit of the reconciler to the next.
const AUDIT: &str = "10";
/// Seconds that running work may go on after SIGTERM.
pub(super) const DRAIN: u64 = 20;
/// A worker that drains must have gone after this long: it may have been asleep, and must wait for
/// a queue that is away.
const LEAVE: Duration = Duration::from_secs(DRAIN + 40);
/// The number of SIGTERM.
const TERMINATED: i32 = 15;
/// Before a worker that ended by itself is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// All workers of a trial.
pub(super) struct Crew {
    seats: Vec<Seat>,
    leaving: Vec<(Instant, Process)>,
    keep: PathBuf,
    pub(super) exits: Exits,
}

/// How workers ended that were not killed.
#[derive(Debug, Default)]
pub(super) struct Exits {
    /// Left at a SIGTERM, with exit code 0.
    pub(super) drained: usize,
    /// Ended by a SIGTERM that came before they could listen for it: they had not said a word.
    pub(super) unready: usize,
    /// By themselves, by exit code.
    pub(super) alone: BTreeMap<String, usize>,
    /// What must not be.
    pub(super) faults: Vec<String>,
}

struct Seat {
    stage: String,
    place: usize,
    count: usize,
    process: Process,
    name: String,
    ended: Option<Instant>,
}

impl Crew {
    pub(super) fn start(stack: &Stack, plan: &Plan) -> Self {
        std::fs::create_dir_all(&plan.keep).expect("a folder for what is said");
        let stages = steps().iter().map(|step| step.stage.as_str());
        let workers = stages.flat_map(|stage| (0..plan.workers).map(move |place| (stage, place)));
        // The reconciler has the last seat.
        let seats = workers.chain([(RECONCILE, 0)]);
        let seats = seats.map(|(stage, place)| Seat::start(stack, stage, place)).collect();
        Self { seats, leaving: Vec::new(), keep: plan.keep.clone(), exits: Exits::default() }
    }

    /// Seats of workers; the reconciler's is the next one.
    pub(super) fn workers(&self) -> usize {
        self.seats.len() - 1
    }

    /// Every process by stage and place, with its number, if it runs.
    pub(super) fn processes(&self) -> impl Iterator<Item = (String, u32)> {
        let running = self.seats.iter().filter(|seat| seat.process.is_running());
        running.map(|seat| (format!("{}-{}", seat.stage, seat.place), seat.process.pid()))
    }

    /// Kills a worker with SIGKILL and starts another one in its place; says whom.
    pub(super) fn kill(&mut self, stack: &Stack, seat: usize) -> String {
        let name = self.seats[seat].name.clone();
        let process = self.seats[seat].renew(stack, |process| process.signal("KILL"));
        process.ends(LEAVE);
        self.keep(&name, &process);
        name
    }

    /// Asks a worker to leave and starts another one in its place.
    pub(super) fn ask_to_leave(&mut self, stack: &Stack, seat: usize) {
        let process = self.seats[seat].renew(stack, |process| process.signal("TERM"));
        self.leaving.push((Instant::now(), process));
    }

    /// Stops a worker as a debugger does, or lets all go on.
    pub(super) fn freeze(&mut self, seat: usize) {
        self.seats[seat].process.signal("STOP");
    }

    /// Lets every worker go on, those that leave as well.
    pub(super) fn thaw(&mut self) {
        let leaving = self.leaving.iter().map(|(_, process)| process);
        self.seats.iter().map(|seat| &seat.process).chain(leaving).for_each(|process| process.signal("CONT"));
    }

    /// Starts again who ended, and sees who has left.
    pub(super) fn tend(&mut self, stack: &Stack) {
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            if seat.process.is_running() {
                continue;
            }
            if seat.ended.get_or_insert_with(Instant::now).elapsed() >= PAUSE {
                let name = seat.name.clone();
                let process = seat.renew(stack, |_| {});
                let exit = process.ends(LEAVE);
                *self.exits.alone.entry(said(exit)).or_default() += 1;
                self.keep(&name, &process);
            }
        }
        for (since, process) in std::mem::take(&mut self.leaving) {
            if process.is_running() && since.elapsed() < LEAVE {
                self.leaving.push((since, process));
            } else {
                self.left(&process);
            }
        }
    }

    /// Asks all to leave, and waits.
    pub(super) fn end(mut self) -> Exits {
        for seat in std::mem::take(&mut self.seats) {
            seat.process.signal("TERM");
            self.leaving.push((Instant::now(), seat.process));
        }
        for (since, process) in std::mem::take(&mut self.leaving) {
            while process.is_running() && since.elapsed() < LEAVE {
                std::thread::sleep(Duration::from_millis(50));
            }
            self.left(&process);
        }
        self.exits
    }

    fn left(&mut self, process: &Process) {
        let name = process.name().to_owned();
        if process.is_running() {
            self.exits.faults.push(format!("worker {name} had not left {LEAVE:?} after SIGTERM"));
        } else {
            let exit = process.ends(LEAVE);
            if exit.success() {
                self.exits.drained += 1;
            } else if exit.signal() == Some(TERMINATED) && process.log().is_empty() {
                self.exits.unready += 1;
            } else {
                self.exits.faults.push(format!("worker {name} left with {} after SIGTERM", said(exit)));
            }
        }
        self.keep(&name, process);
    }

    fn keep(&self, name: &str, process: &Process) {
        // A full disk must not end the trial.
        let _ = std::fs::write(self.keep.join(format!("{name}.log")), process.log());
    }
}

impl Seat {
    fn start(stack: &Stack, stage: &str, place: usize) -> Self {
        let name = format!("{stage}-{place}-0");
        let process = worker(stack, stage, &name);
        Self { stage: stage.to_owned(), place, count: 0, process, name, ended: None }
    }

    /// Ends the old one, starts a new one, and returns the old one.
    fn renew(&mut self, stack: &Stack, end: impl FnOnce(&Process)) -> Process {
        end(&self.process);
        self.count += 1;
        self.ended = None;
        self.name = format!("{}-{}-{}", self.stage, self.place, self.count);
        let process = worker(stack, &self.stage, &self.name);
        std::mem::replace(&mut self.process, process)
    }
}

fn worker(stack: &Stack, stage: &str, name: &str) -> Process {
    let mut command = stack.worker_command(stage, name);
    command.env("SHANSHUI_WHISPER", whisper("tiny.en")).env("SHANSHUI_ATTEMPTS", ATTEMPTS);
    command.env("SHANSHUI_DRAIN_SECONDS", DRAIN.to_string());
    command.env("SHANSHUI_AUDIT_SECONDS", AUDIT).env("NO_COLOR", "1");
    Process::spawn(name, &mut command)
}

fn said(exit: ExitStatus) -> String {
    exit.code().map_or_else(|| exit.to_string(), |code| format!("exit code {code}"))
}
