//! Workers that do several jobs at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shanshui_pipeline::event::Event;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bench::{Bench, Told, done};

/// Longer than a busy worker's pause.
const LOOKS: Duration = Duration::from_millis(1500);

/// Some workers, whose jobs end when they are told to.
struct Crew {
    bench: Bench,
    ends: Arc<Semaphore>,
    full: Arc<AtomicBool>,
    shutdown: Shutdown,
    running: JoinSet<()>,
}

impl Crew {
    async fn start() -> Self {
        let (ends, full) = (Arc::new(Semaphore::new(0)), Arc::default());
        Self { bench: Bench::start().await, ends, full, shutdown: Shutdown::manual(), running: JoinSet::new() }
    }

    fn add(&mut self, name: &str, job_memory_mib: Option<u64>) {
        let ends = Arc::clone(&self.ends);
        let stage = Told::new(move |_, _| {
            let ends = Arc::clone(&ends);
            async move {
                ends.acquire().await.unwrap().forget();
                done()
            }
        });
        let (stage, mut env) = (stage.together(2, &self.full), self.bench.env());
        (env.options.name, env.options.job_memory_mib) = (Some(name.into()), job_memory_mib);
        let shutdown = self.shutdown.clone();
        self.running.spawn(async move { worker::run(stage, env, shutdown).await.unwrap() });
    }

    /// Who starts a job.
    async fn worker_of(&self, job: &JobId) -> String {
        let Event::Started { worker, .. } = self.bench.wait_for(job, "started").await.data else { panic!("no start") };
        worker
    }

    async fn waits(&self, job: &JobId) -> bool {
        tokio::time::timeout(LOOKS, self.bench.wait_for(job, "started")).await.is_err()
    }

    /// A drain waits for every job that has begun.
    async fn leave(mut self, jobs: &[JobId]) {
        self.shutdown.drain.cancel();
        self.ends.add_permits(jobs.len());
        while self.running.join_next().await.is_some() {}
        for job in jobs {
            assert_eq!(self.bench.kinds(job).await.last(), Some(&"done"));
        }
    }
}

#[tokio::test]
async fn a_busy_worker_leaves_a_job_to_an_idle_one_and_takes_it_where_there_is_none() {
    let mut crew = Crew::start().await;
    crew.add("one", None);
    let mut jobs = vec![crew.bench.submit("first").await];
    assert_eq!(crew.worker_of(&jobs[0]).await, "one");
    crew.add("two", None);
    // It connects, and begins to wait.
    tokio::time::sleep(LOOKS).await;
    jobs.push(crew.bench.submit("second").await);
    assert_eq!(crew.worker_of(&jobs[1]).await, "two");
    jobs.push(crew.bench.submit("third").await);
    jobs.push(crew.bench.submit("fourth").await);
    let mut workers = [crew.worker_of(&jobs[2]).await, crew.worker_of(&jobs[3]).await];
    workers.sort();
    assert_eq!(workers, ["one", "two"], "neither takes more than two");
    let fifth = crew.bench.submit("fifth").await;
    assert!(crew.waits(&fifth).await);
    crew.ends.add_permits(1);
    crew.worker_of(&fifth).await;
    jobs.push(fifth);
    crew.leave(&jobs).await;
}

#[tokio::test]
async fn a_worker_without_room_or_with_a_limit_of_memory_takes_one_job_at_a_time() {
    let mut crew = Crew::start().await;
    crew.add("one", None);
    let mut jobs = vec![crew.bench.submit("first").await];
    crew.worker_of(&jobs[0]).await;
    crew.full.store(true, Ordering::SeqCst);
    jobs.push(crew.bench.submit("second").await);
    assert!(crew.waits(&jobs[1]).await);
    crew.full.store(false, Ordering::SeqCst);
    crew.worker_of(&jobs[1]).await;
    crew.leave(&jobs).await;

    let mut crew = Crew::start().await;
    crew.add("one", Some(1 << 20));
    let jobs = [crew.bench.submit("first").await, crew.bench.submit("second").await];
    crew.worker_of(&jobs[0]).await;
    assert!(crew.waits(&jobs[1]).await);
    crew.ends.add_permits(1);
    crew.worker_of(&jobs[1]).await;
    crew.leave(&jobs).await;
}
