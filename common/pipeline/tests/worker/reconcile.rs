//! Jobs that no worker ends, and the count of all jobs.

use std::time::Duration;

use shanshui_pipeline::config::StreamSettings;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::events::Events;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::reconcile::{Audit, Discrepancy, Rescuer, Stranded};

use crate::bench::{Bench, Told};
use crate::next;

/// Two deliveries of two seconds each.
async fn impatient() -> Bench {
    let settings = StreamSettings { ack_wait_seconds: 2, max_deliver: 2, ..StreamSettings::default() };
    Bench::start_with(settings).await
}

/// Takes the message twice and says nothing, then waits until JetStream gives it up.
async fn exhaust(bench: &Bench) {
    let context = bench.client().await;
    let consumer = context.get_consumer_from_stream("transcribe", "AUDIO").await.unwrap();
    let consumer: async_nats::jetstream::consumer::PullConsumer = consumer;
    for _ in 0..2 {
        use futures::StreamExt;
        let mut batch = consumer.batch().max_messages(1).expires(Duration::from_secs(20)).messages().await.unwrap();
        batch.next().await.unwrap().unwrap();
    }
    let advisories = context.get_stream("ADVISORIES").await.unwrap();
    while advisories.get_info().await.unwrap().state.messages == 0 {
        // The server notices at the next pull, as one from a worker would be.
        let _ = consumer.fetch().max_messages(1).expires(Duration::from_millis(200)).messages().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn messages(bench: &Bench, stream: &str) -> u64 {
    bench.client().await.get_stream(stream).await.unwrap().cached_info().state.messages
}

async fn doubts(bench: &Bench) -> Vec<Discrepancy> {
    Audit::of_objects().run(&bench.queue, Some(&bench.store)).await.unwrap().discrepancies
}

#[tokio::test]
async fn r18_a_job_that_ran_out_of_deliveries_while_no_rescuer_ran_is_ended_when_one_starts() {
    let bench = impatient().await;
    let job = bench.submit("forgotten").await;
    exhaust(&bench).await;
    assert_eq!(messages(&bench, "AUDIO").await, 1);
    let rescuer = Rescuer::start(&bench.queue, &bench.store, 2).await.unwrap();
    while !rescuer.step().await.unwrap() {}
    assert_eq!(messages(&bench, "AUDIO").await, 0);
    assert_eq!(bench.kinds(&job).await, ["failed"]);
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert_eq!((letter.job.as_str(), letter.worker.as_str(), letter.attempts), ("forgotten", "reconcile", 2));
    assert!(letter.reason.starts_with("the worker died or lost its lease 2 times"), "{}", letter.reason);
    let report = Audit::default().run(&bench.queue, Some(&bench.store)).await.unwrap();
    assert_eq!((report.accepted, report.ended["failed"], report.in_flight, report.discrepancies.len()), (1, 1, 0, 0));
}

#[tokio::test]
async fn r18_a_message_that_nobody_gets_and_no_advisory_tells_of_is_found_by_the_sweep() {
    let bench = impatient().await;
    let job = bench.submit("stranded").await;
    exhaust(&bench).await;
    let advisories = bench.client().await.get_stream("ADVISORIES").await.unwrap();
    advisories.purge().await.unwrap();
    let (rescuer, mut suspects) = (Rescuer::start(&bench.queue, &bench.store, 2).await.unwrap(), Stranded::default());
    while rescuer.sweep(&mut suspects).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(messages(&bench, "AUDIO").await, 1);
    assert_eq!(rescuer.sweep(&mut suspects).await.unwrap(), 0);
    // Nothing says that it failed: queued again, and done.
    assert_eq!(messages(&bench, "AUDIO").await, 1);
    assert_eq!(bench.drain(&Told::done()).await, 1);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "finished", "done"]);
}

#[tokio::test]
async fn a_job_whose_deliveries_were_used_up_by_outages_is_queued_again() {
    let bench = impatient().await;
    let job = bench.submit("unlucky").await;
    let events = Events::new(bench.queue.clone(), "transcribe", "w1", 0);
    for delivery in 1..=2 {
        let (stage, reason) = ("transcribe".into(), "S3 is away".to_owned());
        events
            .publish(
                &job,
                &Event::Released { stage, code: shanshui_pipeline::Code::ServiceAway, reason, message: 1, delivery },
            )
            .await
            .unwrap();
    }
    exhaust(&bench).await;
    let rescuer = Rescuer::start(&bench.queue, &bench.store, 2).await.unwrap();
    while !rescuer.step().await.unwrap() {}
    assert!(bench.queue.dead().await.unwrap().is_empty());
    assert_eq!(messages(&bench, "AUDIO").await, 1);
    assert_eq!(bench.drain(&Told::done()).await, 1);
    assert_eq!(bench.kinds(&job).await.last(), Some(&"done"));
}

#[tokio::test]
async fn r18_a_job_that_is_queued_again_keeps_the_attempts_it_has_had() {
    let bench = impatient().await;
    let job = bench.submit("deadly").await;
    exhaust(&bench).await;
    // It has as many attempts as workers give it, and one more than deliveries.
    let rescuer = Rescuer::start(&bench.queue, &bench.store, 3).await.unwrap();
    while !rescuer.step().await.unwrap() {}
    assert!(bench.queue.dead().await.unwrap().is_empty());
    let audio = bench.client().await.get_stream("AUDIO").await.unwrap();
    let again = audio.get_last_raw_message_by_subject("shanshui.audio.default.default.2").await.unwrap();
    assert_eq!(again.headers.get("Shanshui-Spent").unwrap().as_str(), "2");
    assert_eq!(bench.drain(&Told::new(|_, _| async { Err(Failure::Retry(anyhow::anyhow!("no luck"))) })).await, 1);
    assert_eq!(bench.kinds(&job).await, ["accepted", "started", "failed"]);
    assert_eq!(bench.queue.dead().await.unwrap()[0].attempts, 3);
}

#[tokio::test]
async fn the_audit_counts_every_job_once_wherever_it_is() {
    let bench = Bench::start().await;
    let passed = bench.submit_on("passed-on").await;
    assert_eq!(bench.drain(&Told::new(|_, _| async { next("a cat") })).await, 1);
    bench.submit("waiting").await;
    // A recording by nobody's name, as `nats pub` sends it.
    bench.client().await.publish("shanshui.audio.default", "sound".into()).await.unwrap().await.unwrap();
    let report = Audit::default().run(&bench.queue, Some(&bench.store)).await.unwrap();
    assert_eq!((report.accepted, report.in_flight, report.discrepancies), (3, 3, vec![]));
    assert_eq!(messages(&bench, "TEXT").await, 1);

    let text = bench.client().await.get_stream("TEXT").await.unwrap();
    text.delete_message(1).await.unwrap();
    let lost = Discrepancy { job: passed.to_string(), why: "no final event, and no queue holds it".into() };
    assert_eq!(doubts(&bench).await, [lost]);
}

#[tokio::test]
async fn the_audit_names_a_missing_receipt_and_believes_no_forged_end() {
    let bench = Bench::start().await;
    let job = bench.submit("empty-handed").await;
    bench.drain(&Told::done()).await;
    assert_eq!(doubts(&bench).await, []);
    bench.remove("jobs/empty-handed/receipt.json").await;
    let why = "done, but its receipt is not in the bucket".to_owned();
    assert_eq!(doubts(&bench).await, [Discrepancy { job: job.to_string(), why }]);

    let waiting = bench.submit("waiting").await;
    let forged = format!(
        r#"{{"subject":"{waiting}","time":"","source":"/elsewhere","data":{{"kind":"canceled","stage":"paint"}}}}"#
    );
    for subject in [format!("shanshui.events.{waiting}.canceled"), format!("shanshui.ended.{waiting}.0")] {
        bench.client().await.publish(subject, forged.clone().into()).await.unwrap().await.unwrap();
    }
    let report = Audit::default().run(&bench.queue, None).await.unwrap();
    assert_eq!((report.accepted, report.in_flight), (2, 1));
    // The worker overrules what is no end.
    assert_eq!(bench.drain(&Told::done()).await, 1);
    assert!(bench.queue.has_ended(&waiting, 0).await.unwrap());
    assert_eq!(bench.queue.ending(&waiting).await.unwrap().unwrap().data.kind(), "done");
}

#[tokio::test]
async fn the_audit_counts_on_from_where_the_last_one_stopped() {
    let bench = Bench::start().await;
    for number in 0..30 {
        bench.submit(&format!("first-{number}")).await;
    }
    bench.drain(&Told::done()).await;
    let mut audit = Audit::continued(&bench.queue).await.unwrap();
    assert_eq!(audit.run(&bench.queue, Some(&bench.store)).await.unwrap().ended["done"], 30);
    audit.keep(&bench.queue).await.unwrap();
    // What it has read is not there any more: the next one does not need it.
    bench.client().await.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    bench.submit("second").await;
    bench.drain(&Told::done()).await;
    let mut next = Audit::continued(&bench.queue).await.unwrap();
    let report = next.run(&bench.queue, Some(&bench.store)).await.unwrap();
    assert_eq!((report.accepted, report.ended["done"], report.discrepancies), (31, 31, vec![]));
}
