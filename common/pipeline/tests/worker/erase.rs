//! What is kept of jobs, erased: by hand, and by rules.

use std::sync::Arc;

use anyhow::anyhow;
use bytes::Bytes;
use shanshui_pipeline::ObjectKey;
use shanshui_pipeline::config::StreamSettings;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::reconcile::{Audit, Choice, Erased, Eraser, Retention, Standing};
use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;

use crate::bench::{Bench, Told};

async fn submit(bench: &Bench, lane: &str, id: &str) -> JobId {
    bench.queue.submit(lane, &bench.job(id)).await.unwrap();
    let job = JobId::parse("id", id).unwrap();
    bench.store.put(&ObjectKey::Audio(&job), Bytes::from_static(b"speech")).await.unwrap();
    job
}

/// A job that is done, with a recording of its own, a receipt, and a letter in DEAD from an earlier run.
async fn failed_and_done(bench: &Bench, lane: &str, id: &str) -> JobId {
    let job = submit(bench, lane, id).await;
    bench.drain(&Told::new(|_, _| async { Err(Failure::Reject(anyhow!("no"))) })).await;
    let letter = bench.queue.dead().await.unwrap().into_iter().find(|letter| letter.job == id).unwrap();
    bench.queue.replay(letter.sequence).await.unwrap();
    bench.drain(&Told::done()).await;
    job
}

async fn erase(bench: &Bench, job: &JobId) -> Erased {
    let eraser = Eraser::prepare(&bench.queue, &bench.store, false).await.unwrap();
    assert_eq!(eraser.standing(job).await.unwrap(), Standing::Ended, "{job}");
    eraser.erase(job).await.unwrap()
}

/// Nothing is left of it anywhere.
async fn is_gone(bench: &Bench, job: &JobId) -> bool {
    let objects = bench.store.below(&format!("jobs/{job}/")).await.unwrap();
    let audio = bench.store.is_there(&ObjectKey::Audio(job).path()).await.unwrap();
    let ending = bench.queue.ending(job).await.unwrap();
    let letters = bench.queue.dead().await.unwrap().iter().any(|letter| letter.job == job.as_str());
    let webhook = bench.queue.wanted_webhook(job).await.unwrap();
    let kept = audio || letters || ending.is_some() || webhook.is_some();
    objects.is_empty() && !kept && bench.queue.history(job).await.unwrap().is_empty()
}

fn names(jobs: &[JobId]) -> Vec<&str> {
    jobs.iter().map(JobId::as_str).collect()
}

#[tokio::test]
async fn a_job_is_erased_whole_once_and_no_other_is_touched() {
    let bench = Bench::start().await;
    let own = failed_and_done(&bench, "a", "own").await;
    // A name that begins with the other's.
    let other = failed_and_done(&bench, "a", "own-too").await;
    bench.queue.cancel(&own).await.unwrap();
    for job in [&own, &other] {
        bench.queue.want_webhook(job, Bytes::from_static(b"https://example.com")).await.unwrap();
        bench.queue.queue_webhook("a", (job, 0), Bytes::from_static(b"{}")).await.unwrap();
    }
    // Somebody's own file, deeper than any of ours.
    bench.store.put(&ObjectKey::File { job: &own, name: "deep/er/notes.txt" }, Bytes::from_static(b"x")).await.unwrap();
    // It was refused under the name, and buried: that is speech of the same sender as well.
    bench
        .queue
        .submit("a", &{
            let mut job = bench.job("own");
            job.language = Some("en".into());
            job
        })
        .await
        .ok();
    bench.drain(&Told::done()).await;
    let kept = bench.queue.history(&other).await.unwrap().len();
    let erased = erase(&bench, &own).await;
    assert!(erased.objects >= 4 && erased.events >= 10, "recording, end and receipt; both runs, webhooks: {erased:?}");
    assert!(is_gone(&bench, &own).await);
    assert!(!is_gone(&bench, &other).await);
    assert_eq!(bench.queue.history(&other).await.unwrap().len(), kept);
    let again = Eraser::prepare(&bench.queue, &bench.store, false).await.unwrap();
    assert_eq!(again.standing(&own).await.unwrap(), Standing::Unknown);
    assert_eq!(again.erase(&own).await.unwrap(), Erased { job: "own".into(), ..Erased::default() });
    let report = Audit::of_objects().run(&bench.queue, Some(&bench.store)).await.unwrap();
    assert_eq!((report.in_flight, report.discrepancies), (0, vec![]));
}

#[tokio::test]
async fn a_job_that_waits_is_not_erased_and_its_place_in_the_queue_says_so() {
    let bench = Bench::start().await;
    let waiting = submit(&bench, "a", "waiting").await;
    let failed = submit(&bench, "b", "failed").await;
    let standing =
        async |job| Eraser::prepare(&bench.queue, &bench.store, false).await.unwrap().standing(job).await.unwrap();
    assert_eq!(standing(&waiting).await, Standing::Open(0));
    bench.drain(&Told::new(|_, _| async { Err(Failure::Reject(anyhow!("no"))) })).await;
    assert_eq!(standing(&failed).await, Standing::Ended);
    let letter = bench.queue.dead().await.unwrap().into_iter().find(|letter| letter.job == "failed").unwrap();
    bench.queue.replay(letter.sequence).await.unwrap();
    assert_eq!(standing(&failed).await, Standing::Open(1));
    assert_eq!(standing(&JobId::parse("id", "nobody").unwrap()).await, Standing::Unknown);
}

#[tokio::test]
async fn jobs_are_chosen_by_lane_and_by_the_time_of_their_last_end() {
    let bench = Bench::start().await;
    for (lane, id) in [("a", "a1"), ("b", "b1")] {
        submit(&bench, lane, id).await;
    }
    bench.drain(&Told::done()).await;
    let middle = OffsetDateTime::now_utc();
    submit(&bench, "a", "a2").await;
    bench.drain(&Told::done()).await;
    let lane = Some("a".to_owned());
    let chosen = async |choice: Choice| choice.jobs(&bench.queue).await.unwrap();
    let before = Some(middle);
    assert_eq!(names(&chosen(Choice { lane: lane.clone(), before: None }).await), ["a1", "a2"]);
    assert_eq!(names(&chosen(Choice { lane: None, before }).await), ["a1", "b1"]);
    assert_eq!(names(&chosen(Choice { lane, before }).await), ["a1"]);
    assert!(chosen(Choice { lane: Some("c".into()), before: None }).await.is_empty());
}

#[tokio::test]
async fn jobs_go_when_the_time_of_their_rule_is_over_and_the_audit_stays_right() {
    let bench = Bench::start().await;
    let mut audit = Audit::default();
    let kept = submit(&bench, "keeper", "kept").await;
    let short = submit(&bench, "a", "short").await;
    bench.drain(&Told::done()).await;
    let failed = submit(&bench, "a", "failed").await;
    bench.drain(&Told::new(|_, _| async { Err(Failure::Reject(anyhow!("no"))) })).await;
    let rules = ["all=30", "done=1", "keeper/all=365"].map(|rule| rule.parse().unwrap());
    let (mut retention, now) = (Retention::of(rules.into()), OffsetDateTime::now_utc());
    let parts = (&bench.queue, &bench.store);
    let mut pass = async |days: i64| {
        let erased = retention.pass(parts, now + Duration::days(days), 10).await.unwrap();
        erased.into_iter().map(|erased| erased.job).collect::<Vec<_>>()
    };
    assert!(pass(0).await.is_empty());
    // It had not counted these ends when the jobs were erased.
    audit.run(&bench.queue, None).await.unwrap();
    assert_eq!(pass(2).await, ["short"]);
    assert!(pass(29).await.is_empty());
    assert_eq!(pass(31).await, ["failed"]);
    assert!(is_gone(&bench, &short).await && is_gone(&bench, &failed).await);
    assert!(!is_gone(&bench, &kept).await);
    assert_eq!(pass(366).await, ["kept"]);
    for mut audit in [audit, Audit::of_objects()] {
        let report = audit.run(&bench.queue, Some(&bench.store)).await.unwrap();
        assert_eq!((report.in_flight, report.discrepancies), (0, vec![]));
    }
    assert!(Retention::default().pass(parts, now + Duration::days(9999), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_job_that_was_erased_before_its_end_was_counted_is_no_inconsistency() {
    let bench = Bench::start().await;
    let mut audit = Audit::default();
    let quick = submit(&bench, "a", "quick").await;
    // Somebody audits while the job runs: accepted, and not ended.
    let counted = Arc::new(Notify::new());
    let (waits, tells) = (counted.clone(), Arc::new(Notify::new()));
    let begun = tells.clone();
    let stage = Told::new(move |_, _| {
        let (waits, tells) = (waits.clone(), tells.clone());
        async move {
            tells.notify_one();
            waits.notified().await;
            crate::bench::done()
        }
    });
    let counting = async {
        begun.notified().await;
        let report = audit.run(&bench.queue, Some(&bench.store)).await.unwrap();
        counted.notify_one();
        report
    };
    let (_, before) = tokio::join!(bench.drain(&stage), counting);
    assert_eq!((before.accepted, before.in_flight), (1, 1));
    erase(&bench, &quick).await;
    let report = audit.run(&bench.queue, Some(&bench.store)).await.unwrap();
    assert_eq!((report.accepted, report.in_flight, report.discrepancies), (1, 0, vec![]));
    assert_eq!(report.ended.get("erased"), Some(&1));
}

#[tokio::test]
async fn streams_keep_events_as_long_as_was_asked_for_until_something_else_is() {
    let bench = Bench::start().await;
    let ages = async || {
        let client = bench.client().await;
        let mut ages = Vec::new();
        for stream in ["EVENTS", "ENDS", "CANCELS", "DEAD", "STATE"] {
            let stream = client.get_stream(stream).await.unwrap();
            ages.push(stream.cached_info().config.max_age.as_secs() / 86_400);
        }
        ages
    };
    assert_eq!(ages().await, [7, 7, 7, 30, 7]);
    let asked = StreamSettings { events_days: Some(2), dead_days: Some(3), ..StreamSettings::default() };
    let said = bench.queue.apply(&asked, false).await.unwrap();
    assert!(said.iter().any(|line| line.starts_with("stream EVENTS: changed max_age from ")), "{said:#?}");
    assert_eq!(ages().await, [2, 2, 2, 3, 7]);
    // A deployment that does not name them changes nothing that an operator has set.
    bench.queue.apply(&StreamSettings::default(), false).await.unwrap();
    assert_eq!(ages().await, [2, 2, 2, 3, 7]);
    assert!(bench.queue.examine().await.unwrap().is_empty());
}
