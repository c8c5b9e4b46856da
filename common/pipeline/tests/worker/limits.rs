//! What one job may cost, and a worker that fails whatever it is given.

use std::time::Duration;

use anyhow::anyhow;
use shanshui_pipeline::failure::{DeviceLost, Failure};
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker;

use crate::bench::{Bench, Told, done};

#[tokio::test]
async fn a_job_that_takes_too_much_memory_is_buried_and_the_worker_lives() {
    let bench = Bench::start().await;
    let (greedy, modest) = (bench.submit("greedy").await, bench.submit("modest").await);
    let mut env = bench.env();
    env.options.job_memory_mib = Some(64);
    let stage = Told::new(|run, context| async move {
        if run > 0 {
            return done();
        }
        let taken = vec![1u8; 256 << 20];
        context.stop.cancelled().await;
        drop(std::hint::black_box(taken));
        Err(Failure::Interrupted)
    });
    assert_eq!(worker::run_until_empty(stage, env, Shutdown::manual()).await.unwrap(), 2);
    assert_eq!(bench.kinds(&greedy).await, ["accepted", "started", "failed"]);
    assert_eq!(bench.kinds(&modest).await, ["accepted", "started", "finished", "done"]);
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert!(letter.reason.starts_with("memory: ") && letter.reason.ends_with("allowed: 64 MiB"), "{}", letter.reason);
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_buried_however_busy_it_is() {
    let bench = Bench::start().await;
    let job = bench.submit("endless").await;
    let mut env = bench.env();
    (env.options.job_seconds, env.options.stall_seconds) = (1, 1);
    let stage = Told::new(|_, context| async move {
        while !context.stop.is_cancelled() {
            context.progress.touch();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Failure::Interrupted)
    });
    worker::run_until_empty(stage, env, Shutdown::manual()).await.unwrap();
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "failed"]);
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert_eq!(letter.reason, "job-seconds: the work was not done after 1s");
    assert_eq!(letter.code, shanshui_pipeline::Code::TimeLimit);
}

#[tokio::test]
async fn a_worker_that_fails_job_after_job_leaves_the_queue() {
    let bench = Bench::start().await;
    for number in 0..4 {
        bench.submit(&format!("unlucky-{number}")).await;
    }
    let mut env = bench.env();
    env.options.break_after = 3;
    let stage = Told::new(|_, _| async { Err(Failure::Retry(anyhow!("the device fell off the bus"))) });
    let error = worker::run(stage.clone(), env, Shutdown::manual()).await.unwrap_err();
    assert!(format!("{error:#}").contains("3 different jobs in a row failed"), "{error:#}");
    assert_eq!(stage.runs(), 3);
}

#[tokio::test]
async fn a_lost_device_ends_the_worker_at_once_and_costs_an_attempt_only_where_it_happens_again() {
    let bench = Bench::start().await;
    let job = bench.submit("unlucky").await;
    let stage = Told::new(|run, context| async move {
        assert_eq!(context.attempt, if run < 2 { 1 } else { 2 });
        if run < 2 { Err(Failure::Lost(anyhow!("CUDA_ERROR_LAUNCH_FAILED"))) } else { done() }
    });
    for runs in [1, 2] {
        let error = worker::run(stage.clone(), bench.env(), Shutdown::manual()).await.unwrap_err();
        assert!(error.is::<DeviceLost>() && format!("{error:#}").contains("LAUNCH_FAILED"), "{error:#}");
        assert_eq!(stage.runs(), runs);
    }
    let kinds = ["accepted", "started", "released", "started", "retrying", "started", "finished", "done"];
    bench.drain(&stage).await;
    assert_eq!(bench.kinds(&job).await, kinds);
}

#[tokio::test]
async fn one_job_that_fails_again_and_again_does_not_take_the_worker_out() {
    let bench = Bench::start().await;
    bench.submit("poison").await;
    let mut env = bench.env();
    (env.options.break_after, env.options.attempts) = (2, 2);
    let stage = Told::new(|_, _| async { Err(Failure::Retry(anyhow!("no"))) });
    assert_eq!(worker::run_until_empty(stage, env, Shutdown::manual()).await.unwrap(), 2);
    assert_eq!(bench.queue.dead().await.unwrap().len(), 1);
}
