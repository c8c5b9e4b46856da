//! Rows R10 to R17 and R19 of the fault catalogue (`docs/reliability.md`), with a stage that does
//! what the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures::StreamExt;
use shanshui_pipeline::config::StreamSettings;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::health::Health;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::bench::{Bench, Told, done};
use crate::next;

/// Three times the ack wait of two seconds, and a little.
const LONG: Duration = Duration::from_millis(6500);

#[tokio::test]
async fn r10_work_of_three_ack_waits_is_delivered_once_and_kept_by_heartbeats() {
    let bench = Bench::start().await;
    let job = bench.submit("long").await;
    let listener = async_nats::connect(&bench.url).await.unwrap();
    let mut acks = listener.subscribe("$JS.ACK.AUDIO.transcribe.>").await.unwrap();
    let stage = Told::new(|_, _| async {
        tokio::time::sleep(LONG).await;
        done()
    });
    assert_eq!(bench.drain(&stage).await, 1);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
    let mut beats = 0;
    while acks.next().await.unwrap().payload.as_ref() == b"+WPI" {
        beats += 1;
    }
    assert!(beats >= 8, "{beats} heartbeats");
}

#[tokio::test]
async fn r11_computing_that_blocks_the_whole_runtime_does_not_lose_the_lease() {
    let bench = Bench::start().await;
    let job = bench.submit("greedy").await;
    let stage = Told::new(|_, _| async {
        // On purpose: this test has one thread for everything, and nothing else gets it meanwhile.
        std::thread::sleep(LONG);
        done()
    });
    assert_eq!(bench.drain(&stage).await, 1);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
}

#[tokio::test]
async fn r12_a_busy_worker_holds_one_message_and_an_idle_one_takes_the_rest() {
    let bench = Bench::start().await;
    let first = bench.submit("busy").await;
    let stage = Told::new(|_, context| async move {
        context.stop.cancelled().await;
        Err(Failure::Interrupted)
    });
    let shutdown = Shutdown::manual();
    let rest = async {
        bench.wait_for(&first, "started").await;
        for number in 0..9 {
            bench.submit(&format!("quick-{number}")).await;
        }
        // Longer than a standing pull would need to take a second message.
        tokio::time::sleep(LONG).await;
        assert_eq!(held(&bench).await, (1, 9));
        let idle = Shutdown::manual();
        let mut env = bench.env();
        env.options.name = Some("idle".into());
        let mut other = JoinSet::new();
        other.spawn(worker::run(Told::done(), env, idle.clone()));
        for number in 0..9 {
            let job = shanshui_pipeline::job::JobId::parse("id", &format!("quick-{number}")).unwrap();
            bench.wait_for(&job, "done").await;
        }
        assert_eq!(held(&bench).await, (1, 0));
        idle.drain.cancel();
        other.join_next().await.unwrap().unwrap().unwrap();
        shutdown.drain.cancel();
        shutdown.stop.cancel();
    };
    let (ended, ()) = tokio::join!(worker::run(stage, bench.env(), shutdown.clone()), rest);
    ended.unwrap();
}

/// Messages in work, and messages that wait.
async fn held(bench: &Bench) -> (usize, u64) {
    let stream = bench.client().await.get_stream("AUDIO").await.unwrap();
    let info = stream.consumer_info("transcribe").await.unwrap();
    (info.num_ack_pending, info.num_pending)
}

#[tokio::test]
async fn r13_a_message_that_comes_in_the_middle_of_a_wait_is_taken_at_once() {
    let bench = Bench::start().await;
    let shutdown = Shutdown::manual();
    let measure = async {
        let mut times = Vec::new();
        for number in 0..5 {
            // In the middle of a pull of one second.
            tokio::time::sleep(Duration::from_millis(1400)).await;
            let sent = Instant::now();
            let job = bench.submit(&format!("sudden-{number}")).await;
            bench.wait_for(&job, "started").await;
            times.push(sent.elapsed());
        }
        shutdown.drain.cancel();
        times.sort_unstable();
        times
    };
    let (ended, times) = tokio::join!(worker::run(Told::done(), bench.env(), shutdown.clone()), measure);
    ended.unwrap();
    // A lost wake-up costs the rest of the pull and more; one of five may have met a busy machine.
    assert!(times[3] < Duration::from_millis(250), "{times:?}");
}

#[tokio::test]
async fn r15_a_job_that_panics_is_buried_after_its_attempts_and_the_worker_lives() {
    let bench = Bench::start().await;
    let mut env = bench.env();
    env.options.attempts = 2;
    let (poison, good) = (bench.submit("poison").await, bench.submit("good").await);
    let stage = Told::new(|_, context| async move {
        assert!(context.job.as_str() != "poison", "this one does not agree with me");
        done()
    });
    let taken = worker::run_until_empty(stage, env, Shutdown::manual()).await.unwrap();
    assert_eq!(taken, 3);
    assert_eq!(bench.kinds(&poison).await, ["accepted", "started", "retrying", "started", "failed"]);
    assert_eq!(bench.kinds(&good).await, ["accepted", "started", "finished", "done"]);
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert_eq!((letter.job.as_str(), letter.attempts), ("poison", 2));
    assert!(letter.reason.contains("the stage panicked: this one does not agree with me"), "{}", letter.reason);
    assert_eq!(held(&bench).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_a_job_that_hangs_loses_its_lease_and_its_worker_and_is_buried() {
    let bench = Bench::start().await;
    let job = bench.submit("stuck").await;
    let mut env = bench.env();
    (env.options.attempts, env.options.stall_seconds) = (1, 1);
    let release = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&release);
    let stage = Told::new(move |_, _| {
        let seen = Arc::clone(&seen);
        async move {
            // A call that nobody can stop, as one into a driver that waits for its device.
            let hang = move || {
                while !seen.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(50))
                }
            };
            tokio::task::spawn_blocking(hang).await.unwrap();
            done()
        }
    });
    let error = worker::run(stage.clone(), env, Shutdown::manual()).await.unwrap_err();
    assert!(format!("{error:#}").contains("the work on job stuck hangs"), "{error:#}");
    let mut env = bench.env();
    env.options.attempts = 1;
    worker::run_until_empty(stage.clone(), env, Shutdown::manual()).await.unwrap();
    release.store(true, Ordering::Relaxed);
    assert_eq!(stage.runs(), 1);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "failed"]);
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert!(letter.reason.contains("died or lost its lease"), "{}", letter.reason);
}

#[tokio::test]
async fn r16_a_job_stays_in_its_queue_until_dead_has_room_for_it() {
    let bench = Bench::start().await;
    let job = bench.submit("homeless").await;
    let context = bench.client().await;
    let mut full = context.get_stream("DEAD").await.unwrap().cached_info().config.clone();
    let open = full.clone();
    full.max_bytes = 64;
    full.discard = async_nats::jetstream::stream::DiscardPolicy::New;
    context.update_stream(full).await.unwrap();
    let env = bench.env();
    let health = Arc::clone(env.health.health());
    let stage = Told::new(|_, _| async { Err(Failure::Reject(anyhow!("never"))) });
    let make_room = async {
        seen(&health, "cannot bury the job").await;
        let mut audio = context.get_stream("AUDIO").await.unwrap();
        assert_eq!(audio.info().await.unwrap().state.messages, 1);
        context.update_stream(open).await.unwrap();
    };
    let (taken, ()) = tokio::join!(worker::run_until_empty(stage.clone(), env, Shutdown::manual()), make_room);
    assert_eq!((taken.unwrap(), stage.runs()), (1, 1));
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "failed"]);
    assert_eq!(bench.queue.dead().await.unwrap().len(), 1);
    assert!(health.missing().is_empty(), "{:?}", health.missing());
}

/// Waits until readiness says `text`.
pub(crate) async fn seen(health: &Health, text: &str) {
    while !health.missing().iter().any(|line| line.contains(text)) {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn r17_a_replayed_job_leaves_dead_only_when_it_is_queued_and_runs_once() {
    let bench = Bench::start().await;
    let job = bench.submit("again").await;
    let stage =
        Told::new(|run, _| async move { if run == 0 { Err(Failure::Reject(anyhow!("not yet"))) } else { done() } });
    bench.drain(&stage).await;
    let letter = bench.queue.dead().await.unwrap().remove(0);
    let full = StreamSettings { ack_wait_seconds: 2, queue_bytes: 64, ..StreamSettings::default() };
    bench.queue.apply(&full, false).await.unwrap();
    let error = bench.queue.replay(letter.sequence).await.unwrap_err();
    assert!(format!("{error:#}").contains("maximum bytes exceeded"), "{error:#}");
    assert_eq!(bench.queue.dead().await.unwrap().len(), 1);
    let room = StreamSettings { queue_bytes: 1 << 20, ..full };
    bench.queue.apply(&room, false).await.unwrap();
    bench.queue.replay(letter.sequence).await.unwrap();
    assert!(bench.queue.dead().await.unwrap().is_empty());
    bench.drain(&stage).await;
    let kinds: Vec<_> = bench.queue.history(&job).await.unwrap().iter().map(|event| event.data.kind()).collect();
    assert_eq!(kinds, ["accepted", "started", "failed", "accepted", "started", "finished", "done"]);
}

#[tokio::test]
async fn r19_a_failed_attempt_comes_back_after_the_delay_that_was_told() {
    let bench = Bench::start().await;
    let job = bench.submit("patient").await;
    let stage =
        Told::new(|run, _| async move { if run < 2 { Err(Failure::Retry(anyhow!("hiccup"))) } else { done() } });
    assert_eq!(bench.drain(&stage).await, 3);
    let history = bench.queue.history(&job).await.unwrap();
    let time = |text: &str| time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    let mut told = Vec::new();
    for pair in history.windows(2) {
        let Event::Retrying { delay, .. } = pair[0].data else { continue };
        let waited = (time(&pair[1].time) - time(&pair[0].time)).as_seconds_f64();
        // The server counts from the NAK, which follows the event; two slow cores may add a second.
        assert!((delay - 0.1..delay + 1.5).contains(&waited), "{waited} s instead of {delay} s");
        told.push(delay);
    }
    assert!(matches!(told[..], [first, second] if (0.8..=1.2).contains(&first) && (4.0..=6.0).contains(&second)));
}

#[tokio::test]
async fn a_job_whose_next_step_was_given_up_at_a_second_signal_is_not_acknowledged() {
    let mut bench = Bench::start().await;
    bench.submit_on("held-up").await;
    let (shutdown, env) = (Shutdown::manual(), bench.env());
    let (health, reached, go) = (Arc::clone(env.health.health()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (here, on) = (Arc::clone(&reached), Arc::clone(&go));
    let stage = Told::new(move |_, _| {
        let (here, on) = (Arc::clone(&here), Arc::clone(&on));
        async move {
            here.notify_one();
            on.notified().await;
            next("a cat")
        }
    });
    let outage = async {
        reached.notified().await;
        bench.kill_nats();
        go.notify_one();
        seen(&health, "cannot publish an event").await;
        shutdown.drain.cancel();
        shutdown.stop.cancel();
    };
    let (ended, ()) = tokio::join!(worker::run(stage.clone(), env, shutdown.clone()), outage);
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.contains("stopped before it could publish an event"), "{error}");
    bench.start_nats();
    bench.queue.wait_connected().await;
    assert_eq!(messages(&bench, "AUDIO").await, 1);
    go.notify_one();
    bench.drain(&stage).await;
    assert_eq!((messages(&bench, "AUDIO").await, messages(&bench, "TEXT").await), (0, 1));
}

async fn messages(bench: &Bench, stream: &str) -> u64 {
    bench.client().await.get_stream(stream).await.unwrap().cached_info().state.messages
}
