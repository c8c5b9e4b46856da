//! What a client can do with the rights that it has: replies and message ids of its own choosing.
//!
//! The server answers a request with its own rights, on whatever subject the client names.

use std::time::Duration;

use async_nats::HeaderMap;

use crate::bench::{Bench, Told};
use crate::next;

/// Has the server put an answer on each of these subjects.
async fn forge(bench: &Bench, subjects: &[String]) {
    let client = async_nats::connect(&bench.url).await.unwrap();
    for subject in subjects {
        let asked = r#"{"seq":1}"#;
        client.publish_with_reply("$JS.API.STREAM.MSG.GET.EVENTS", subject.clone(), asked.into()).await.unwrap();
        client.publish_with_reply("shanshui.text.default", subject.clone(), "a decoy".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn forged_replies_on_a_jobs_subjects_end_and_cancel_nothing() {
    let bench = Bench::start().await;
    let job = bench.submit("victim").await;
    let kinds = ["accepted", "finished", "done", "failed"].map(|kind| format!("shanshui.events.victim.{kind}"));
    let others = ["shanshui.ended.victim.0", "shanshui.cancel.victim"].map(str::to_owned);
    forge(&bench, &[&kinds[..], &others[..]].concat()).await;
    let stage = Told::done();
    assert_eq!((bench.drain(&stage).await, stage.runs()), (1, 1));
    assert_eq!(bench.queue.ending(&job).await.unwrap().unwrap().data.kind(), "done");
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
}

#[tokio::test]
async fn message_ids_that_a_sender_used_up_suppress_neither_the_next_job_nor_an_end() {
    let bench = Bench::start().await;
    let context = bench.client().await;
    for (subject, id) in [
        ("shanshui.text.default", "victim/transcribe/0"),
        ("shanshui.cancel.other", "victim/final/0"),
        ("shanshui.cancel.other", "victim/finished/transcribe/0"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        context.publish_with_headers(subject, headers, "a decoy".into()).await.unwrap().await.unwrap();
    }
    let job = bench.submit_on("victim").await;
    bench.drain(&Told::new(|_, _| async { next("a cat") })).await;
    let text = context.get_stream("TEXT").await.unwrap();
    let last = text.get_last_raw_message_by_subject("shanshui.text.default.default.2").await.unwrap();
    assert_eq!(last.headers.get("Shanshui-Job").unwrap().as_str(), job.as_str(), "the next job was suppressed");
    let other = bench.submit("plain").await;
    bench.drain(&Told::done()).await;
    assert_eq!(bench.kinds(&other).await.last(), Some(&"done"));
}

#[tokio::test]
async fn one_submitter_cannot_fill_the_disk_with_cancels_events_or_dead_letters() {
    let bench = Bench::start().await;
    let context = bench.client().await;
    let large = context.publish("shanshui.cancel.victim", vec![b'x'; 100_000].into()).await.unwrap().await;
    assert!(large.is_err(), "a cancel of 100 kB was kept");
    for _ in 0..40 {
        context.publish("shanshui.cancel.victim", "stop".into()).await.unwrap().await.unwrap();
    }
    let cancels = context.get_stream("CANCELS").await.unwrap();
    assert_eq!(cancels.cached_info().state.messages, 16);
    for stream in ["EVENTS", "ENDS", "CANCELS", "DEAD", "ADVISORIES", "STATE", "AUDIO", "TEXT"] {
        let config = context.get_stream(stream).await.unwrap().cached_info().config.clone();
        assert!(config.max_bytes > 0, "{stream} has no limit");
    }
    context.publish("shanshui.audio.default", vec![b'{'; 1 << 20].into()).await.unwrap().await.unwrap();
    bench.drain(&Told::done()).await;
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert!(letter.payload.len() <= 256 * 1024, "{} bytes of a wrong job are kept", letter.payload.len());
}

#[tokio::test]
async fn a_job_with_nothing_wrong_waits_for_nats_at_most_eight_times() {
    let bench = Bench::start().await;
    let job = bench.submit("counted").await;
    let client = async_nats::connect(&bench.url).await.unwrap();
    let mut wire = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    let stage = Told::new(|_, context| async move {
        for index in 0..2 {
            let (key, sha256) = (format!("jobs/x/{index}.png"), "0".repeat(64));
            let event = shanshui_pipeline::Event::Picture { index, key, sha256, seed: 1, width: 8, height: 8 };
            context.tell(event).await?;
        }
        crate::bench::done()
    });
    bench.drain(&stage).await;
    assert_eq!(bench.kinds(&job).await.last(), Some(&"done"));
    client.flush().await.unwrap();
    let mut trips = Vec::new();
    while let Ok(Some(message)) =
        tokio::time::timeout(Duration::from_millis(300), futures::StreamExt::next(&mut wire)).await
    {
        let subject = message.subject.to_string();
        let begun = trips.iter().any(|trip: &String| trip.ends_with(".accepted")) || subject.ends_with(".accepted");
        let ended = trips.iter().any(|trip| trip.starts_with("$JS.ACK."));
        if message.reply.is_some() && begun && !ended && !subject.starts_with("_INBOX.") {
            trips.push(subject);
        }
    }
    assert!((1..=8).contains(&trips.len()), "{} round trips: {trips:#?}", trips.len());
}
