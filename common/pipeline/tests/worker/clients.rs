//! Rows of docs/reliability.md about those who submit jobs and those who listen to events.

use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt;
use futures::future::join_all;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::events::Events;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId};
use shanshui_pipeline::queue::Outgoing;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bench::{Bench, Told};

/// Events that a stalled reader does not read.
const EVENTS: u64 = 50_000;
/// What such a reader may cost this process in bytes, the events themselves in the server aside.
const MEMORY: i64 = 256 << 20;

#[tokio::test]
async fn r20_a_job_submitted_a_hundred_times_at_once_is_done_once_and_ninety_nine_are_told_so() {
    let bench = Bench::start().await;
    let id = JobId::parse("id", "same").unwrap();
    let mut job = AudioJob::new(AudioSource::Inline(b"sound".as_slice().into()));
    job.meta.id = Some(id.clone());
    job.meta.until = Some("transcript".into());
    let all = join_all((0..100).map(|_| bench.queue.submit("default", &job))).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|one| one.duplicate).count(), 99);
    assert!(all.iter().all(|one| (one.stream.as_str(), one.sequence) == ("AUDIO", 1)), "{all:?}");
    let stage = Told::done();
    assert_eq!((bench.drain(&stage).await, stage.runs()), (1, 1));
    assert_eq!(bench.kinds(&id).await, ["accepted", "started", "finished", "done"]);
}

fn outgoing(headers: HeaderMap, payload: Vec<u8>) -> Outgoing {
    let (subject, message_id) = ("shanshui.audio.default".into(), format!("{:x}", rand::random::<u64>()));
    Outgoing { subject, message_id, headers, payload: payload.into() }
}

#[tokio::test]
async fn r29_one_byte_too_many_is_refused_here_and_the_connection_stays() {
    let bench = Bench::start().await;
    let mut connection = bench.queue.link_state();
    connection.mark_unchanged();
    let limit = 1 << 20;
    let error = bench.queue.publish(outgoing(HeaderMap::new(), vec![0; limit + 1])).await.unwrap_err().to_string();
    assert!(error.contains("1048577 bytes") && error.contains("at most 1048576"), "{error}");
    let mut headers = HeaderMap::new();
    headers.insert("Long", "x".repeat(limit));
    let error = format!("{:#}", bench.queue.publish(outgoing(headers, b"sound".to_vec())).await.unwrap_err());
    assert!(error.contains("of headers") && error.contains("at most 1048576"), "{error}");
    bench.submit("after").await;
    assert!(!connection.has_changed().unwrap() && bench.queue.is_connected(), "the connection was lost");
}

#[tokio::test]
async fn r29_a_job_as_large_as_may_be_is_buried_as_far_as_it_fits_beside_the_reason() {
    let bench = Bench::start().await;
    let context = bench.client().await;
    let limit = 1 << 20;
    // Once as much payload as the server takes, once as many headers as a stream takes.
    let mut headers = HeaderMap::new();
    headers.insert("Long", "x".repeat(65_000));
    context.publish("shanshui.audio.default", vec![7; limit].into()).await.unwrap().await.unwrap();
    context.publish_with_headers("shanshui.audio.default", headers, "sound".into()).await.unwrap().await.unwrap();
    // Not a fault of the job's fields: of those, only a beginning is kept.
    let stage = Told::new(|_, _| async { Err(Failure::reject(shanshui_pipeline::Code::NotFound, "never")) });
    let drained = tokio::time::timeout(Duration::from_secs(30), bench.drain(&stage)).await;
    assert_eq!(drained.expect("the worker goes on"), 2);
    let dead = bench.queue.dead().await.unwrap();
    assert!(dead.len() == 2 && dead.iter().all(|letter| letter.reason == "never"), "{dead:?}");
    let (large, long) = (&dead[0], &dead[1]);
    assert!((limit / 2..limit).contains(&large.payload.len()), "{} bytes", large.payload.len());
    let error = bench.queue.replay(large.sequence).await.unwrap_err().to_string();
    assert!(error.contains("1048576 bytes"), "{error}");
    assert_eq!(long.payload, "sound");
    bench.queue.replay(long.sequence).await.unwrap();
}

#[tokio::test]
async fn r30_a_reader_that_reads_nothing_holds_up_nobody_and_fills_no_memory() {
    let bench = Bench::start_hasty().await;
    let _stalled = stalled_socket(&bench.url).await;
    let flood = JobId::parse("id", "flood").unwrap();
    let mut follower = bench.queue.follow(&flood).await.unwrap();
    // It reads one, so that everything else is on its way to it, and no more.
    let events = Events::new(bench.queue.clone(), "transcribe", "w1", 0);
    let event = |n: u64| Event::Started { stage: "transcribe".into(), worker: "w1".into(), attempt: n };
    events.publish(&flood, &event(0)).await.unwrap();
    follower.next().await.unwrap().unwrap();
    let before = resident();
    for n in 1..EVENTS {
        // As fast as the server: a backlog there would hold up the job below.
        if n % 500 == 0 {
            events.publish(&flood, &event(n)).await.unwrap();
        } else {
            events.mention(&flood, &event(n)).await;
        }
        if n == EVENTS / 2 {
            // In the middle of it, a job of somebody else.
            let job = bench.submit("meanwhile").await;
            bench.drain(&Told::done()).await;
            assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
        }
    }
    let end = Event::Done { stage: "transcribe".into(), key: None, seconds: 0.0 };
    events.publish(&flood, &end).await.unwrap();
    let grown = resident() - before;
    assert!(grown <= MEMORY, "{} MiB more", grown >> 20);
    // A reader that comes later, and the one that stood still, get all of it.
    let late = bench.queue.follow(&flood).await.unwrap().count().await as u64;
    let rest = follower.count().await as u64;
    assert_eq!((late, rest + 1), (EVENTS + 1, EVENTS + 1));
}

/// A connection that asked for every event and does not read.
async fn stalled_socket(url: &str) -> TcpStream {
    let mut socket = TcpStream::connect(url.trim_start_matches("nats://")).await.unwrap();
    socket.write_all(b"CONNECT {\"verbose\":false}\r\nSUB shanshui.events.> 1\r\n").await.unwrap();
    socket
}

/// Bytes that this process holds in RAM.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}
