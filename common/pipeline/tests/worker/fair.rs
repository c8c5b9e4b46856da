//! Lanes and pools: nobody waits for what others have queued, and a job finds its model.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shanshui_pipeline::Code;
use shanshui_pipeline::config::{PoolName, StreamSettings};
use shanshui_pipeline::event::Event;
use shanshui_pipeline::health::Health;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::reconcile::Watchman;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker;

use crate::bench::{Bench, Told, done};

#[tokio::test]
async fn three_lanes_of_different_loads_get_their_turns_and_keep_their_order() {
    let bench = Bench::start_hasty().await;
    // Each in a partition of its own, as the names of the contract say.
    for (lane, count) in [("a", 200), ("b", 20), ("tenant-1", 5)] {
        for number in 0..count {
            let job = bench.job(&format!("{lane}-{number}"));
            bench.queue.submit(lane, &job).await.unwrap();
        }
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let stage = Told::new(move |_, context| {
        seen.lock().unwrap().push(context.job.to_string());
        async { done() }
    });
    assert_eq!(bench.drain(&stage).await, 225);
    let order = order.lock().unwrap().clone();
    let place = |job: &str| order.iter().position(|seen| seen == job).unwrap();
    // Three lanes take turns: a lane's n-th job is behind about n jobs of each other lane.
    assert!(place("tenant-1-4") < 25, "{} jobs before the last of five", place("tenant-1-4"));
    assert!(place("b-19") < 60, "{} jobs before the last of twenty", place("b-19"));
    for lane in ["a", "b", "tenant-1"] {
        let own: Vec<_> = order.iter().filter(|job| job.rsplit_once('-').unwrap().0 == lane).collect();
        assert!(own.iter().enumerate().all(|(number, job)| **job == format!("{lane}-{number}")), "{own:?}");
    }
}

async fn with_pools() -> Bench {
    let pools = ["large", "empty"].map(|pool| PoolName { queue: "audio".into(), pool: pool.into() });
    Bench::start_with(StreamSettings { ack_wait_seconds: 2, pools: pools.into(), ..StreamSettings::default() }).await
}

async fn submit(bench: &Bench, id: &str, model: &str) -> JobId {
    let mut job = bench.job(id);
    job.whisper = Some(model.into());
    bench.queue.submit("default", &job).await.unwrap();
    JobId::parse("id", id).unwrap()
}

#[tokio::test]
async fn a_job_finds_the_pool_of_its_model_and_that_costs_no_attempt() {
    let bench = with_pools().await;
    let (own, large) = (submit(&bench, "own", "base").await, submit(&bench, "big", "large").await);
    let unknown = submit(&bench, "unknown", "huge").await;
    let base = Told::done().of_model("base");
    bench.drain(&base).await;
    assert_eq!(base.runs(), 1);
    assert_eq!(bench.kinds(&own).await.last(), Some(&"done"));
    let Event::Failed { code, reason, .. } = bench.wait_for(&unknown, "failed").await.data else { panic!("no end") };
    assert_eq!(code, Code::ModelMissing);
    assert!(
        ["whisper: huge", "default", "base", "large", "empty"].iter().all(|name| reason.contains(name)),
        "{reason}"
    );

    let step = bench.queue.step("transcribe").unwrap();
    assert_eq!(bench.queue.pool_state(step, "large").await.unwrap().waiting, 1);
    let mut env = bench.env();
    env.options.pools = vec![("large".into(), 1)];
    let other = Told::new(|_, context| async move {
        assert_eq!(context.attempt, 1);
        done()
    });
    worker::run_until_empty(other.of_model("large"), env, Shutdown::manual()).await.unwrap();
    assert_eq!(bench.kinds(&large).await, ["accepted", "passed-on", "started", "finished", "done"]);
}

#[tokio::test]
async fn a_pool_without_a_live_worker_is_told_to_operators_and_to_those_who_wait() {
    let bench = with_pools().await;
    let job = submit(&bench, "lonely", "empty").await;
    bench.drain(&Told::done().of_model("base")).await;
    let Event::PassedOn { pool, workers, .. } = bench.wait_for(&job, "passed-on").await.data else { panic!("no") };
    assert_eq!((pool.as_str(), workers), ("empty", 0));
    let (health, mut watchman) = (Arc::new(Health::default()), Watchman::after(Duration::from_millis(200)));
    for _ in 0..2 {
        let pools = bench.queue.all_pools().await.unwrap();
        watchman.look(&bench.queue, &pools, &health.process()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(health.missing(), ["pools: jobs wait, and no worker asks for them: transcribe/empty"]);
    let Event::Queued { pool, place, workers, .. } = bench.wait_for(&job, "queued").await.data else { panic!("no") };
    assert_eq!((pool.as_str(), place, workers), ("empty", 0, 0));
    let step = bench.queue.step("transcribe").unwrap();
    let wait = bench.queue.wait_of(step, 2).await.unwrap().unwrap();
    assert!(wait.pool.is_abandoned() && wait.place == 0, "{wait:?}");
}

#[tokio::test]
async fn a_pool_that_does_not_exist_takes_no_job() {
    let bench = with_pools().await;
    let sent = bench.client().await.publish("shanshui.audio.default.typo", "sound".into()).await.unwrap().await;
    assert!(sent.is_err(), "a stream took a job that nobody would get");
}
