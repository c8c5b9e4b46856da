//! The report of a run, as Markdown.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::Outcome;
use super::crew::{ATTEMPTS, DRAIN};
use super::plan::Trial;
use super::poison::Isolation;
use crate::paths::{nats_server, shanshui};
use crate::steps::steps;

/// What the numbers of the storm mean.
const STORM: &str = "
Faults come from clocks that do not wait for each other, so that several are in force at a time; recovery is measured in the \
midst of them. They end when nine of ten jobs have ended. A few of a hundred jobs are poison, silence, taken back, or published \
twice, with the same message id or another one.
";

/// Where and when a run was.
#[derive(Debug)]
pub struct Machine {
    date: String,
    hardware: String,
    versions: String,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        let memory = kib.map_or_else(|| "unknown".into(), |kib| format!("{:.0} GiB", kib / 1024.0 / 1024.0));
        let commit = said(Path::new("git"), &["describe", "--always", "--dirty"]);
        let versions =
            [said(shanshui(), &["--version"]), format!("commit {commit}"), said(&nats_server(), &["--version"])];
        Self {
            date: said(Path::new("date"), &["-u", "+%Y-%m-%d %H:%M UTC"]),
            hardware: format!("{cores} cores, {memory} of memory, {}", said(Path::new("uname"), &["-srm"])),
            versions: versions.join(", "),
        }
    }
}

/// All trials of a run; `command` is what makes it again.
pub fn report(machine: &Machine, command: &str, outcomes: &[Outcome], isolation: Option<&Isolation>) -> String {
    let mut text = String::new();
    let mut faults = outcomes.iter().flat_map(Outcome::faults).chain(isolation.iter().flat_map(|it| it.faults()));
    let result = if faults.next().is_none() { "passed: nothing lost, nothing doubled" } else { "FAILED" };
    let [date, hardware, versions] = [&machine.date, &machine.hardware, &machine.versions];
    let _ = write!(
        text,
        "# Chaos run: {result}\n\n\
         Made by `{command}`: real worker processes (Whisper tiny.en, the picture model of `models/mini`), real \
         nats-server with `sync_interval: always`, the real S3 protocol. Jobs come from a client that knows NATS and \
         the contract, and none of our code. What was lost or doubled is read from the streams and the bucket when \
         all is over, and from nothing else.\n\n\
         | | |\n| --- | --- |\n| date | {date} |\n| machine | {hardware} |\n| versions | {versions} |\n"
    );
    for outcome in outcomes {
        outcome.section(&mut text);
    }
    if let Some(isolation) = isolation {
        isolation.section(&mut text);
    }
    text
}

impl Outcome {
    fn section(&self, text: &mut String) {
        let _ = write!(text, "\n## {}\n", capital(self.plan.trial.title()));
        if self.plan.trial == Trial::Storm {
            text.push_str(STORM);
        }
        table(text, "Result", &self.facts());
        table(text, "What was broken", &self.damage());
        table(text, "How jobs ended", &self.ends());
        table(text, "Recovery, in seconds", &self.recoveries());
        violations(text, &self.faults());
    }

    fn facts(&self) -> Vec<[String; 2]> {
        let (plan, verdict, published) = (&self.plan, &self.verdict, &self.published);
        let mut facts = vec![
            row("seed", plan.seed),
            row("minutes", format!("{:.1}", self.seconds / 60.0)),
            row("workers", format!("{}; 1 reconciler", workers(plan.workers))),
            row("ack wait, deliveries of a message", format!("{} s, {}", plan.ack_wait, plan.max_deliver)),
            row("attempts of a job, seconds of a drain", format!("{ATTEMPTS}, {DRAIN} (the product's own: 5, 120)")),
            row("jobs accepted (PubAck received)", published.accepted),
            row("**lost**", format!("**{}**", verdict.lost.len())),
            row("**doubled** (ends, pictures, objects, graves)", format!("**{}**", verdict.doubled.len())),
            row("another end than the job must come to", verdict.wrong.len()),
            row("pictures in the bucket, each with the hash of its receipt", verdict.pictures),
        ];
        let audit = format!("{} accepted, {} in doubt", self.audit.accepted, self.audit.doubts.len());
        facts.push(row("what `shanshui audit --objects` says of it", audit));
        for (stage, executions) in &self.measures.executions {
            let (mean, most) = (executions.mean, executions.most);
            let said = format!("mean {mean:.2}, most {most} ({} jobs)", executions.jobs);
            facts.push(row(&format!("executions of a job by {stage}"), said));
        }
        let again = format!("{} ({} known to the server already)", published.retries, published.duplicates);
        facts.push(row("publications sent again for want of an acknowledgement", again));
        let goal = if plan.trial == Trial::LeaderKilled { " (goal: at most 10 s)" } else { "" };
        facts.push(row("longest time between two PubAcks", format!("{:.1} s{goal}", published.gap.as_secs_f64())));
        let late: Vec<_> = self.verdict.late.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let late = if late.is_empty() { "none".to_owned() } else { late.join(", ") };
        facts.push(row("events after a final one", late));
        facts
    }

    fn damage(&self) -> Vec<[String; 2]> {
        let mut rows: Vec<_> = self.log.counts().into_iter().map(|(what, count)| row(what, count)).collect();
        let made = self.log.store;
        if self.plan.trial == Trial::Storm {
            rows.push(row("S3 requests answered with an error", made.failed));
            rows.push(row("S3 answers lost after the request was carried out", made.lost));
        }
        let exits = &self.log.exits;
        rows.push(row("workers that left at SIGTERM with exit code 0, the last ones included", exits.drained));
        rows.push(row("workers that a SIGTERM ended before their first word", exits.unready));
        for (exit, count) in &exits.alone {
            rows.push(row(&format!("workers that ended by themselves ({exit}) and were started again"), count));
        }
        rows
    }

    fn ends(&self) -> Vec<[String; 2]> {
        self.verdict.ends.iter().map(|(kind, count)| row(&format!("`{kind}`"), count)).collect()
    }

    fn recoveries(&self) -> Vec<[String; 2]> {
        let measures = &self.measures;
        let lines = [
            ("worker killed, until its job starts again (goal, without other faults: ack wait + 5)", &measures.worker),
            ("nats-server back, until the next event of any job (goal: 10)", &measures.queue),
            ("S3 back, until the next transcript, picture or end", &measures.store),
            ("the leader struck, until the next event of any job", &measures.cluster),
        ];
        let known = lines.into_iter().filter(|(_, times)| !times.is_empty());
        known.map(|(what, times)| row(what, spread(times))).collect()
    }
}

pub(super) fn violations(text: &mut String, faults: &[String]) {
    if !faults.is_empty() {
        let _ = writeln!(text, "\nViolations:\n");
        for fault in faults {
            let _ = writeln!(text, "- {fault}");
        }
    }
}

pub(super) fn table(text: &mut String, title: &str, rows: &[[String; 2]]) {
    if !rows.is_empty() {
        let _ = writeln!(text, "\n| {title} | |\n| --- | --- |");
        for [what, said] in rows {
            let _ = writeln!(text, "| {what} | {said} |");
        }
    }
}

pub(super) fn row(what: &str, said: impl ToString) -> [String; 2] {
    [what.to_owned(), said.to_string()]
}

/// Workers of each stage.
fn workers(each: usize) -> String {
    steps().iter().map(|step| format!("{each} {}", step.stage)).collect::<Vec<_>>().join(", ")
}

fn spread(sorted: &[f64]) -> String {
    let (middle, most) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    format!("median {middle:.1}, most {most:.1} ({} times)", sorted.len())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn said(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("a program that says something");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
