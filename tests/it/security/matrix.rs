//! S32: reply subjects, message ids and headers of an attacker's choosing, with the rights that he
//! has, on each line of nats-server that people run.
//!
//! Of nats-server 2.11 the product warns; the accounts hold there all the same.

mod attacker;
mod victim;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shanshui_tests::{nats_server, until};

use super::guarded::Guarded;
use super::permissions::streams;
use super::voice::Voice;
use attacker::Attacker;
use victim::{EARLY, JOBS, LATE};

#[tokio::test]
async fn s32_forged_replies_ids_and_headers_change_nothing_of_anybody_elses_on_2_11() {
    holds_on(&older("2.11")).await;
}

#[tokio::test]
async fn s32_forged_replies_ids_and_headers_change_nothing_of_anybody_elses_on_2_12() {
    holds_on(&older("2.12")).await;
}

#[tokio::test]
async fn s32_forged_replies_ids_and_headers_change_nothing_of_anybody_elses_on_2_15() {
    holds_on(&nats_server()).await;
}

#[tokio::test]
async fn s32_other_jobs_under_the_name_of_a_running_one_end_nothing() {
    let guarded = Guarded::start();
    let attacker = [Attacker::new(&guarded, "tenant-b").await];
    let workers = [guarded.worker("transcribe"), guarded.worker("paint")];
    let voice = &EARLY[1..];
    victim::submits(&guarded, voice);
    victim::are_accepted(&guarded, voice).await;
    take_names(&attacker, voice).await;
    victim::ends(&guarded, voice).await;
    nothing_waits(&Voice::of(&guarded, "admin").await).await;
    victim::ends(&guarded, voice).await;
    drop(workers);
}

/// Attacks before any worker has seen the victim's jobs, while they run, and when they are done.
async fn holds_on(program: &Path) {
    let guarded = Guarded::on(program);
    let admin = Voice::of(&guarded, "admin").await;
    let configuration = configurations(&admin).await;
    let attackers = [Attacker::new(&guarded, "tenant-b").await, Attacker::new(&guarded, "watch").await];
    let ears = Voice::of(&guarded, "tenant-a").await.hears_all().await;
    victim::submits(&guarded, &EARLY);
    let names = JOBS.map(|(id, _)| id);
    for attacker in &attackers {
        attacker.tries_everything(&names).await;
    }
    only_jobs_and_cancels_came_in(&guarded, &admin).await;

    let workers = [guarded.worker("transcribe"), guarded.worker("paint")];
    victim::are_accepted(&guarded, &EARLY).await;
    take_names(&attackers, &EARLY).await;
    victim::submits(&guarded, &LATE);
    lie(&attackers, &names).await;
    victim::ends(&guarded, &JOBS).await;
    lie(&attackers, &names).await;
    take_names(&attackers, &JOBS).await;
    nothing_waits(&admin).await;
    victim::ends(&guarded, &JOBS).await;
    assert_eq!(configurations(&admin).await, configuration, "streams and consumers are as they were");
    for attacker in &attackers {
        attacker.heard_nothing_of(victim::SECRET);
    }
    assert!(!ears.heard(attacker::FORGED), "what one account says is not heard in another");
    drop(workers);
}

async fn lie(attackers: &[Attacker], names: &[&str]) {
    for attacker in attackers {
        attacker.lies_about(names).await;
    }
}

async fn take_names(attackers: &[Attacker], jobs: &[victim::Named]) {
    for attacker in attackers {
        for (id, _) in jobs {
            attacker.takes_the_name(id).await;
        }
    }
}

/// What the attacker may send is there, on its own lane; the victim's jobs are where they were.
async fn only_jobs_and_cancels_came_in(guarded: &Guarded, admin: &Voice) {
    for stream in ["EVENTS", "ENDS", "DEAD", "ADVISORIES", "STATE"] {
        let info = admin.asks(&format!("$JS.API.STREAM.INFO.{stream}")).await;
        assert_eq!(info["state"]["last_seq"], 0, "{stream}: {info}");
    }
    let reconcile = Voice::of(guarded, "reconcile").await;
    for stream in ["AUDIO", "TEXT"] {
        let first = reconcile.asks_for(&format!("$JS.API.STREAM.MSG.GET.{stream}"), r#"{"seq":1}"#).await;
        let subject = first["message"]["subject"].as_str().unwrap_or_default();
        assert!(subject.contains(".tenant-a."), "{stream}: {first}");
        let lanes = json!({ "subjects_filter": ">" }).to_string();
        let info = admin.asks_for(&format!("$JS.API.STREAM.INFO.{stream}"), &lanes).await;
        let subjects = info["state"]["subjects"].as_object().cloned().unwrap_or_default();
        let lane = |subject: &String| subject.split('.').nth(2).unwrap_or_default().to_owned();
        let lanes: Vec<String> = subjects.keys().map(lane).collect();
        assert!(lanes.iter().all(|lane| lane.starts_with("tenant-")), "{stream}: {lanes:?}");
    }
}

/// Workers have dealt with everything that the attackers sent.
async fn nothing_waits(admin: &Voice) {
    let waiting = async || {
        let mut all = 0;
        for (stream, stage) in [("AUDIO", "transcribe"), ("TEXT", "paint")] {
            for partition in ["", "_1", "_2", "_3"] {
                let info = admin.asks(&format!("$JS.API.CONSUMER.INFO.{stream}.{stage}{partition}")).await;
                let number = |field: &str| info[field].as_u64().expect("a consumer's figures");
                all += number("num_pending") + number("num_ack_pending");
            }
        }
        (all == 0).then_some(())
    };
    until("empty queues", waiting).await;
}

/// The configurations of all streams and of the workers' consumers.
async fn configurations(admin: &Voice) -> Vec<Value> {
    streams(admin).await.into_iter().map(|info| info[0].clone()).collect()
}

/// A nats-server of an older line, as `./dev` fetches it.
fn older(line: &str) -> PathBuf {
    let program = shanshui_tests::root().join(".cache/bin").join(format!("nats-server-{line}"));
    assert!(program.exists(), "{} is missing: run `./dev models`", program.display());
    program
}
