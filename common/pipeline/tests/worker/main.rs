//! What becomes of a message, whatever its stage does: real nats-server, real S3 protocol.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

mod bench;
mod clients;
mod erase;
mod fair;
mod forged;
mod gaps;
mod limits;
mod names;
mod reconcile;
mod rows;
#[path = "../store/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the store")]
mod server;
mod standing;
mod testkit;
mod together;

use std::sync::Arc;

use anyhow::anyhow;
use bench::{Bench, Told, done};
use shanshui_pipeline::Made;
use shanshui_pipeline::config::StreamSettings;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::job::{JobMeta, TextJob};
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::stage::Outcome;
use shanshui_pipeline::worker;
use tokio::sync::Notify;

fn next(text: &str) -> Result<Outcome<TextJob>, Failure> {
    Ok(Outcome::Next(TextJob { text: text.into(), meta: JobMeta::default() }, Made::default()))
}

#[tokio::test]
async fn a_job_goes_on_to_the_next_queue_with_its_id_lane_and_trace() {
    let bench = Bench::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("traceparent", parent);
    headers.insert("Shanshui-Job", "spoken-1");
    let context = bench.client().await;
    context.publish_with_headers("shanshui.audio.slow", headers, "sound".into()).await.unwrap().await.unwrap();
    bench.drain(&Told::new(|_, _| async { next("a cat") })).await;

    let text = context.get_stream("TEXT").await.unwrap().get_raw_message(1).await.unwrap();
    assert!(text.subject.starts_with("shanshui.text.slow.default."), "{}", text.subject);
    let job: serde_json::Value = serde_json::from_slice(&text.payload).unwrap();
    assert_eq!((&job["id"], &job["text"]), (&"spoken-1".into(), &"a cat".into()));
    let child = text.headers.get("traceparent").unwrap().as_str();
    assert!(child.starts_with(&parent[..36]) && child != parent, "{child}");
    let mut audio = context.get_stream("AUDIO").await.unwrap();
    assert_eq!(audio.info().await.unwrap().state.messages, 0);
}

#[tokio::test]
async fn a_failed_attempt_comes_back_after_a_delay_and_counts() {
    let bench = Bench::start().await;
    let job = bench.submit("twice").await;
    let stage =
        Told::new(|run, _| async move { if run == 0 { Err(Failure::Retry(anyhow!("hiccup"))) } else { done() } });
    assert_eq!(bench.drain(&stage).await, 2);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "retrying", "started", "finished", "done"]);
    let retrying = bench.wait_for(&job, "retrying").await;
    let Event::Retrying { attempt: 1, reason, delay, .. } = retrying.data else { panic!("{retrying:?}") };
    assert!(reason == "hiccup" && (0.8..=1.2).contains(&delay), "{reason} {delay}");
}

#[tokio::test]
async fn a_job_that_cannot_succeed_is_buried_at_once_and_the_worker_goes_on() {
    let bench = Bench::start().await;
    let (bad, good) = (bench.submit("bad").await, bench.submit("good").await);
    let stage =
        Told::new(|run, _| async move { if run == 0 { Err(Failure::Reject(anyhow!("never"))) } else { done() } });
    assert_eq!(bench.drain(&stage).await, 2);
    assert_eq!(bench.kinds(&bad).await, ["accepted", "started", "failed"]);
    assert_eq!(bench.kinds(&good).await, ["accepted", "started", "finished", "done"]);
    let dead = bench.queue.dead().await.unwrap();
    let letter = &dead[0];
    assert_eq!((dead.len(), letter.job.as_str(), letter.attempts), (1, "bad", 1));
    assert_eq!((letter.reason.as_str(), letter.worker.as_str()), ("never", "w1"));
    assert_eq!(letter.subject, "shanshui.audio.default");
}

#[tokio::test]
async fn the_last_attempt_that_fails_buries_the_job() {
    let bench = Bench::start().await;
    let job = bench.submit("thrice").await;
    let mut env = bench.env();
    env.options.attempts = 2;
    let stage = Told::new(|_, _| async { Err(Failure::Retry(anyhow!("always"))) });
    let taken = worker::run_until_empty(stage, env, Shutdown::manual()).await.unwrap();
    assert_eq!(taken, 2);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "retrying", "started", "failed"]);
}

#[tokio::test]
async fn an_attempt_that_met_an_outage_does_not_count() {
    let bench = Bench::start().await;
    let job = bench.submit("outage").await;
    let stage = Told::new(|run, context| async move {
        assert_eq!(context.attempt, 1);
        if run == 0 { Err(Failure::Outage(anyhow!("S3 is away"))) } else { done() }
    });
    assert_eq!(bench.drain(&stage).await, 2);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "released", "started", "finished", "done"]);
}

#[tokio::test]
async fn what_is_no_job_lies_in_dead_with_the_field_named() {
    let bench = Bench::start().await;
    let context = bench.client().await;
    for payload in ["{", "{\"audio\": 3}", ""] {
        context.publish("shanshui.audio.default", payload.into()).await.unwrap().await.unwrap();
    }
    let stage = Told::done();
    assert_eq!(bench.drain(&stage).await, 3);
    assert_eq!(stage.runs(), 0);
    let reasons: Vec<String> = bench.queue.dead().await.unwrap().into_iter().map(|letter| letter.reason).collect();
    let starts = ["payload: ", "audio: 3 is not allowed", "audio: (0 bytes) is not allowed"];
    assert!(
        reasons.len() == 3 && reasons.iter().zip(starts).all(|(reason, start)| reason.starts_with(start)),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_job_taken_back_while_it_waits_is_never_started() {
    let bench = Bench::start().await;
    let job = bench.submit("waiting").await;
    bench.queue.cancel(&job).await.unwrap();
    let stage = Told::new(|_, context| async move {
        context.stop.cancelled().await;
        Err(Failure::Interrupted)
    });
    bench.drain(&stage).await;
    assert_eq!(bench.kinds(&job).await, ["accepted", "canceled"]);
    assert_eq!(stage.runs(), 0);
}

#[tokio::test]
async fn a_job_taken_back_while_it_runs_stops() {
    let bench = Bench::start().await;
    let job = bench.submit("running").await;
    let stage = Told::new(|_, context| async move {
        context.stop.cancelled().await;
        Err(Failure::Interrupted)
    });
    let cancel = async {
        bench.wait_for(&job, "started").await;
        bench.queue.cancel(&job).await.unwrap();
    };
    let (taken, ()) = tokio::join!(bench.drain(&stage), cancel);
    assert_eq!(taken, 1);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "canceled"]);
}

#[tokio::test]
async fn a_second_signal_hands_the_job_back_uncounted() {
    let bench = Bench::start().await;
    let job = bench.submit("handed-back").await;
    let shutdown = Shutdown::manual();
    let stage = Told::new(|run, context| async move {
        if run == 0 {
            context.stop.cancelled().await;
            return Err(Failure::Interrupted);
        }
        assert_eq!(context.attempt, 1);
        done()
    });
    let signal = async {
        bench.wait_for(&job, "started").await;
        shutdown.drain.cancel();
        shutdown.stop.cancel();
    };
    let run = worker::run(stage.clone(), bench.env(), shutdown.clone());
    let (ended, ()) = tokio::join!(run, signal);
    ended.unwrap();
    bench.drain(&stage).await;
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "released", "started", "finished", "done"]);
}

#[tokio::test]
async fn a_job_that_has_ended_is_not_done_again() {
    let bench = Bench::start().await;
    let job = bench.submit("once").await;
    let stage = Told::done();
    bench.drain(&stage).await;
    let context = bench.client().await;
    let audio = context.get_stream("AUDIO").await.unwrap();
    assert_eq!(audio.cached_info().state.messages, 0);
    // The very same message, as a client sends it that got no answer.
    let again = shanshui_pipeline::wire::encode(&bench.job("once")).1;
    context.publish("shanshui.audio.default", again).await.unwrap().await.unwrap();
    assert_eq!(bench.drain(&stage).await, 1);
    assert_eq!((stage.runs(), bench.kinds(&job).await.len()), (1, 4));
}

#[tokio::test]
async fn progress_is_told_while_the_work_goes_on() {
    let bench = Bench::start().await;
    let job = bench.submit("steps").await;
    let told = Arc::new(Notify::new());
    let seen = Arc::clone(&told);
    let stage = Told::new(move |_, context| {
        let seen = Arc::clone(&seen);
        async move {
            context.progress.report(1.0, 4.0);
            seen.notified().await;
            done()
        }
    });
    let look = async {
        let progress = bench.wait_for(&job, "progress").await;
        told.notify_one();
        progress
    };
    let (_, progress) = tokio::join!(bench.drain(&stage), look);
    assert!(matches!(progress.data, Event::Progress { done: 1.0, total: 4.0, .. }), "{progress:?}");
}

#[tokio::test]
async fn r08_a_consumer_that_is_deleted_ends_the_worker_with_an_error() {
    let bench = Bench::start().await;
    let context = bench.client().await;
    let run = worker::run(Told::done(), bench.env(), Shutdown::manual());
    let delete = async {
        let job = bench.submit("seen").await;
        bench.wait_for(&job, "done").await;
        context.get_stream("AUDIO").await.unwrap().delete_consumer("transcribe").await.unwrap();
    };
    let (ended, ()) = tokio::join!(run, delete);
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.contains("consumer transcribe on AUDIO is missing"), "{error}");
}

#[tokio::test]
async fn streams_are_applied_twice_without_a_change_and_differences_are_named() {
    let bench = Bench::start().await;
    let settings = StreamSettings { ack_wait_seconds: 2, ..Default::default() };
    assert!(bench.queue.apply(&settings, false).await.unwrap().is_empty());
    let settings = StreamSettings { queue_bytes: 5 << 20, ..settings };
    let said = bench.queue.apply(&settings, false).await.unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("stream AUDIO: changed max_bytes from 1073741824 to 5242880"), "{said:?}");
}
