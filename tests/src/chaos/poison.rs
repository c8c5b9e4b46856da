//! G5: a job that no worker survives, and how other jobs get on beside it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures::StreamExt;
use serde_json::json;

use super::report::{row, table, violations};
use crate::client::{Client, Job};
use crate::process::Process;
use crate::stack::Stack;
use crate::wait::until;

const WORKERS: usize = 2;
/// Jobs that wait or are in work at a time.
const BACKLOG: usize = 8;
/// How long jobs are counted before there is poison among them.
const BEFORE: Duration = Duration::from_secs(60);
/// Before a worker that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);
/// Jobs done before anything is counted.
const WARM: usize = 10;
/// Share of the throughput that the others may lose.
const ALLOWED: f64 = 0.2;

/// What came of it.
pub struct Isolation {
    attempts: usize,
    ack_wait: u64,
    /// Other jobs done in a second, without the poison and beside it.
    rates: [f64; 2],
    others: usize,
    reason: String,
    faults: Vec<String>,
}

/// Has paint workers do jobs, and among these one that kills each worker that begins it.
pub fn isolate(attempts: usize, ack_wait: u64, tell: &dyn Fn(&str)) -> Isolation {
    tell(&format!("a job that kills its worker {attempts} times"));
    let stack = Stack::start_with(&["--ack-wait-seconds", &ack_wait.to_string()]);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(&stack, attempts, ack_wait))
}

async fn measure(stack: &Stack, attempts: usize, ack_wait: u64) -> Isolation {
    let (client, poison) = (stack.client().await, Job::new("poison"));
    let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
    let events = nats.subscribe("shanshui.events.*.done").await.expect("a subject");
    let (published, done, enough) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let trial = async {
        let mut crew: Vec<_> = (0..WORKERS).map(|place| worker(stack, attempts, format!("paint-{place}"))).collect();
        until("warm workers", async || (done.load(Ordering::Relaxed) >= WARM).then_some(())).await;
        let before = rate(&done, tokio::time::sleep(BEFORE)).await;
        let beside = rate(&done, die(&client, &poison, attempts, &mut crew)).await;
        enough.store(true, Ordering::Relaxed);
        let rest = async || (done.load(Ordering::Relaxed) == published.load(Ordering::Relaxed)).then_some(());
        until("the end of all other jobs", rest).await;
        [before, beside]
    };
    let rates = tokio::select! {
        rates = trial => rates,
        never = feed(&client, [&published, &done], &enough) => match never {},
        never = count(events, &done) => match never {},
    };
    let mut faults = Vec::new();
    let story = client.whole_story(&poison.id).await;
    if story.finals() != ["failed"] || story.all("started").len() != attempts {
        faults.push(format!("poison: {:?}", story.told()));
    }
    let others = published.load(Ordering::Relaxed);
    let reason = client.dead(&poison.id).await.map(|dead| dead.reason).unwrap_or_default();
    if reason.is_empty() {
        faults.push("poison: nothing in DEAD".to_owned());
    }
    Isolation { attempts, ack_wait, rates, others, reason, faults }
}

/// Kills every worker that begins the job, until it is buried.
async fn die(client: &Client<'_>, poison: &Job, attempts: usize, crew: &mut [Process]) {
    client.publish(poison, "text", painting(&poison.id, 150)).await;
    for attempt in 1..=attempts {
        let story = client.read(&poison.id, |story| story.all("started").len() == attempt).await;
        let name = story.all("started")[attempt - 1]["worker"].clone();
        let victim = crew.iter_mut().find(|worker| name == worker.name()).expect("one of the crew");
        victim.signal("KILL");
        tokio::time::sleep(PAUSE).await;
        *victim = worker(client.stack(), attempts, format!("{}-{attempt}", victim.name()));
    }
    client.follow(&poison.id).await;
}

/// Keeps the backlog full until there are enough jobs.
async fn feed(client: &Client<'_>, [published, done]: [&AtomicUsize; 2], enough: &AtomicBool) -> Infallible {
    loop {
        let most = done.load(Ordering::Relaxed) + BACKLOG;
        if published.load(Ordering::Relaxed) < most && !enough.load(Ordering::Relaxed) {
            let job = Job::new("other");
            client.publish(&job, "text", painting(&job.id, 4)).await;
            published.fetch_add(1, Ordering::Relaxed);
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn painting(id: &str, steps: u32) -> String {
    json!({ "id": id, "text": "a river", "picture": { "steps": steps, "count": 1 } }).to_string()
}

fn worker(stack: &Stack, attempts: usize, name: String) -> Process {
    let mut command = stack.worker_command("paint", &name);
    Process::spawn(&name, command.env("SHANSHUI_ATTEMPTS", attempts.to_string()))
}

/// Counts jobs that are done.
async fn count(mut events: Subscriber, done: &AtomicUsize) -> Infallible {
    while events.next().await.is_some() {
        done.fetch_add(1, Ordering::Relaxed);
    }
    panic!("the queue of a trial that breaks no queue is away");
}

/// Jobs done in a second, for as long as something goes on.
async fn rate(done: &AtomicUsize, meanwhile: impl Future<Output = ()>) -> f64 {
    let (began, before) = (Instant::now(), done.load(Ordering::Relaxed));
    meanwhile.await;
    (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64()
}

impl Isolation {
    /// What must not be.
    pub fn faults(&self) -> Vec<String> {
        let drop = self.drop();
        let slow =
            (drop >= ALLOWED).then(|| format!("poison: the others lost {:.0} % of their throughput", drop * 100.0));
        self.faults.iter().cloned().chain(slow).collect()
    }

    fn drop(&self) -> f64 {
        1.0 - self.rates[1] / self.rates[0]
    }

    /// Its part of the report.
    pub(super) fn section(&self, text: &mut String) {
        text.push_str("\n## Beside a job that no worker survives\n");
        let Self { attempts, ack_wait, rates: [before, beside], others, reason, .. } = self;
        let facts = [
            row(
                "workers",
                format!(
                    "{WORKERS} paint; each is killed (SIGKILL) as it begins the job, and started again after {PAUSE:?}"
                ),
            ),
            row("attempts, ack wait", format!("{attempts}, {ack_wait} s")),
            row("reason in DEAD", reason),
            row("other jobs, each done once", others),
            row("other jobs done in a second, before", format!("{before:.2}")),
            row("the same, from the poison's publication to its burial", format!("{beside:.2}")),
            row("drop (goal: below 20 %)", format!("{:.0} %", self.drop() * 100.0)),
        ];
        table(text, "Result", &facts);
        violations(text, &self.faults());
    }
}
