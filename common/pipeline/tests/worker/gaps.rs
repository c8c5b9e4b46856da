//! A worker that dies between two steps of a job's end.

use std::time::Duration;

use futures::FutureExt;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::shutdown::Shutdown;
use shanshui_pipeline::worker;

use crate::bench::{Bench, Told};

/// Whether the stream of events takes the event `done`.
async fn takes_done(bench: &Bench, takes: bool) {
    let context = bench.client().await;
    let mut config = context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    config.subjects.retain(|subject| !subject.ends_with(".done"));
    if takes {
        config.subjects.push("shanshui.events.*.done".into());
    }
    context.update_stream(config).await.unwrap();
}

/// Runs a worker until `until`, and stops it in the middle of a job's end; returns why it ended.
async fn stopped(bench: &Bench, stage: &Told, until: impl Future<Output = ()>) -> String {
    let shutdown = Shutdown::manual();
    let stop = until.map(|()| {
        shutdown.drain.cancel();
        shutdown.stop.cancel();
    });
    let (ended, ()) = tokio::join!(worker::run(stage.clone(), bench.env(), shutdown.clone()), stop);
    format!("{:#}", ended.unwrap_err())
}

/// A worker that has begun: one does not begin with streams that are wrong.
async fn begun(bench: &Bench) {
    let job = bench.submit("before").await;
    bench.wait_for(&job, "done").await;
}

/// Waits until the last word on a job stands.
async fn end_of(bench: &Bench, job: &JobId) {
    while bench.queue.ending(job).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_worker_that_stops_between_finished_and_the_receipt_leaves_a_job_that_ends_once() {
    let bench = Bench::start().await;
    let (job, stage) = (bench.submit("early").await, Told::done());
    bench.faults().refuse(Some("PUT"));
    let error = stopped(&bench, &stage, bench.wait_for(&job, "finished").map(drop)).await;
    assert!(error.contains("stopped before it could write the receipt"), "{error}");
    assert!(bench.queue.ending(&job).await.unwrap().is_none());
    bench.faults().refuse(None);
    bench.drain(&stage).await;
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "started", "finished", "done"]);
    assert_eq!((stage.runs(), &bench.json("jobs/early/receipt.json").await["job"]), (2, &"early".into()));
}

#[tokio::test]
async fn a_worker_that_stops_between_the_last_word_and_its_event_leaves_the_event_to_the_next_one() {
    let bench = Bench::start().await;
    let (job, stage) = (JobId::parse("id", "silent").unwrap(), Told::done());
    let last_word = async {
        begun(&bench).await;
        takes_done(&bench, false).await;
        bench.submit("silent").await;
        end_of(&bench, &job).await;
    };
    let error = stopped(&bench, &stage, last_word).await;
    assert!(error.contains("stopped before it could publish the end"), "{error}");
    takes_done(&bench, true).await;
    bench.drain(&stage).await;
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
    assert_eq!(stage.runs(), 2, "one for each job");
}

#[tokio::test]
async fn the_next_job_begins_while_the_end_of_one_is_told() {
    let bench = Bench::start().await;
    let shutdown = Shutdown::manual();
    let watch = async {
        begun(&bench).await;
        takes_done(&bench, false).await;
        let (first, second) = (bench.submit("first").await, bench.submit("second").await);
        end_of(&bench, &first).await;
        // One slot, and the end of the first job cannot be told.
        end_of(&bench, &second).await;
        takes_done(&bench, true).await;
        for job in [&first, &second] {
            assert_eq!(bench.kinds(job).await, ["accepted", "started", "finished", "done"]);
            let end = bench.queue.ending(job).await.unwrap().unwrap();
            assert!(matches!(end.data, Event::Done { .. }), "{end:?}");
        }
        shutdown.drain.cancel();
    };
    let (ended, ()) = tokio::join!(worker::run(Told::done(), bench.env(), shutdown.clone()), watch);
    ended.unwrap();
}
