//! What a worker asks NATS for, and how many jobs it holds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_nats::Subscriber;
use futures::{FutureExt, StreamExt};
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bench::{Bench, Told, done};

/// Each in a partition of its own.
const LANES: [&str; 4] = ["a", "b", "tenant-1", "default"];

/// A worker of so many slots whose jobs end when they are told to.
struct Crew {
    bench: Bench,
    ends: Arc<Semaphore>,
    shutdown: Shutdown,
    running: JoinSet<()>,
}

impl Crew {
    fn of(bench: Bench, slots: u16) -> Self {
        let (ends, shutdown) = (Arc::new(Semaphore::new(0)), Shutdown::manual());
        let gate = Arc::clone(&ends);
        let stage = Told::new(move |_, _| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                done()
            }
        });
        let (mut env, told, mut running) = (bench.env(), shutdown.clone(), JoinSet::new());
        env.options.concurrency = Some(slots);
        running.spawn(async move { worker::run(stage, env, told).await.unwrap() });
        Self { bench, ends, shutdown, running }
    }

    /// Messages that workers hold.
    async fn held(&self) -> usize {
        let (stream, mut held) = (self.bench.client().await.get_stream("AUDIO").await.unwrap(), 0);
        for consumer in ["transcribe", "transcribe_1", "transcribe_2", "transcribe_3"] {
            held += stream.consumer_info(consumer).await.unwrap().num_ack_pending;
        }
        held
    }

    async fn leave(mut self) {
        self.shutdown.drain.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

/// Jobs of all lanes, `each` in each of them.
async fn submit(bench: &Bench, each: usize) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for lane in LANES {
        for number in 0..each {
            let job = bench.job(&format!("{lane}-{number}"));
            bench.queue.submit(lane, &job).await.unwrap();
            jobs.push(job.meta.id.unwrap());
        }
    }
    jobs
}

/// Requests for a job that have been seen so far.
fn asked(wire: &mut Subscriber) -> usize {
    let mut asked = 0;
    while let Some(Some(_)) = wire.next().now_or_never() {
        asked += 1;
    }
    asked
}

async fn asked_for_twenty(slots: u16) -> usize {
    let crew = Crew::of(Bench::start().await, slots);
    crew.ends.add_permits(21);
    let client = async_nats::connect(&crew.bench.url).await.unwrap();
    let first = crew.bench.submit("first").await;
    crew.bench.kinds(&first).await;
    let mut wire = client.subscribe("$JS.API.CONSUMER.MSG.NEXT.AUDIO.*").await.unwrap();
    client.flush().await.unwrap();
    for number in 0..20 {
        let job = crew.bench.submit(&format!("one-{number}")).await;
        assert_eq!(crew.bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
    }
    client.flush().await.unwrap();
    let asked = asked(&mut wire);
    crew.leave().await;
    asked
}

#[tokio::test]
async fn a_worker_with_room_for_more_asks_once_for_each_job() {
    let asked = asked_for_twenty(16).await;
    assert!((19..=22).contains(&asked), "{asked} requests for 20 jobs");
    // Without room, all partitions are asked to wait once more, and looked at before where they may have got a job.
    let asked = asked_for_twenty(1).await;
    assert!((76..=165).contains(&asked), "{asked} requests for 20 jobs");
}

#[tokio::test]
async fn a_worker_holds_as_many_jobs_as_it_has_slots_and_hands_none_back() {
    let bench = Bench::start().await;
    let jobs = submit(&bench, 4).await;
    let crew = Crew::of(bench, 6);
    for released in 0..=10 {
        let due = 6.min(16 - released);
        tokio::time::timeout(Duration::from_secs(5), async {
            while crew.held().await != due {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("not {due} jobs are held after {released} have ended"));
        crew.ends.add_permits(1);
    }
    crew.ends.add_permits(16);
    for job in &jobs {
        assert_eq!(crew.bench.kinds(job).await, ["accepted", "started", "finished", "done"], "{job}");
    }
    crew.leave().await;
}

#[tokio::test]
async fn a_worker_that_cannot_go_on_ends_although_other_slots_wait_for_jobs() {
    let bench = Bench::start().await;
    let mut env = bench.env();
    (env.options.concurrency, env.options.attempts) = (Some(8), 1);
    let stage = Told::new(|_, _| async { Err(Failure::Broken(anyhow!("the model is gone"))) });
    let job = bench.submit("breaks").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), worker::run(stage, env, Shutdown::manual())).await;
    let error = format!("{:#}", ended.expect("the worker notices").unwrap_err());
    assert!(error.contains("the model is gone"), "{error}");
    assert_eq!(bench.kinds(&job).await.last(), Some(&"failed"));
}
