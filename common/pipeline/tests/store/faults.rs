//! Answers that a real store gives on bad days.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::store::{ObjectKey, Store};
use tokio::net::TcpListener;

use crate::scripted::{Asked, Reply, Scripted, error, status};
use crate::server::options;
use crate::{job, sha256};

async fn store(server: &Scripted, more: &[&str]) -> anyhow::Result<Store> {
    Store::open(&options(&[&["--s3-endpoint", server.endpoint.as_str()], more].concat())).await
}

#[tokio::test]
async fn r22_a_store_in_trouble_is_asked_again() {
    let script = |asked: &Asked| match asked.before {
        0 => error("500 Internal Server Error", "InternalError"),
        1 => error("503 Service Unavailable", "SlowDown"),
        2 => status("429 Too Many Requests"),
        3 => error("409 Conflict", "ConditionalRequestConflict"),
        _ => status("200 OK"),
    };
    let server = Scripted::start(script).await.unwrap();
    let (store, job) = (store(&server, &[]).await.unwrap(), job("a"));
    let stored = store.put(&ObjectKey::Receipt(&job), Bytes::from_static(b"{}")).await.unwrap();
    assert!(!stored.existed);
    assert_eq!(server.asked(), ["PUT /shanshui/jobs/a/receipt.json"; 5]);
}

#[tokio::test]
async fn r22_a_store_that_stays_in_trouble_is_an_outage_after_five_attempts() {
    let server = Scripted::start(|_| error("503 Service Unavailable", "SlowDown")).await.unwrap();
    let (store, job) = (store(&server, &[]).await.unwrap(), job("a"));
    let error = store.put(&ObjectKey::Receipt(&job), Bytes::from_static(b"{}")).await.unwrap_err();
    assert!(matches!(error, Failure::Outage(_)), "{error}");
    assert!(error.to_string().contains("503 SlowDown as the test asked"), "{error}");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn r22_requests_that_failed_together_do_not_come_back_together() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let (log, seen) = (times.clone(), Mutex::new(HashSet::new()));
    let script = move |asked: &Asked| {
        if seen.lock().unwrap().insert(asked.line.clone()) {
            return error("503 Service Unavailable", "SlowDown");
        }
        log.lock().unwrap().push(Instant::now());
        status("200 OK")
    };
    let server = Scripted::start(script).await.unwrap();
    let store = store(&server, &[]).await.unwrap();
    let jobs: Vec<_> = (0..8).map(|n| job(&format!("a{n}"))).collect();
    let puts = jobs.iter().map(|job| async { store.put(&ObjectKey::Receipt(job), Bytes::from_static(b"{}")).await });
    for put in join_all(puts).await {
        put.unwrap();
    }
    let times = times.lock().unwrap();
    let spread = times[times.len() - 1] - times[0];
    assert!(times.len() == 8 && spread > Duration::from_millis(100), "{} retries within {spread:?}", times.len());
}

#[tokio::test]
async fn r24_a_put_whose_response_was_lost_ends_as_success() {
    let sha = sha256(b"{}");
    let script = move |asked: &Asked| match asked.before {
        0 => Reply::HangUp,
        1 => error("412 Precondition Failed", "PreconditionFailed"),
        _ => Reply::Say("200 OK", format!("content-length: 2\r\nx-amz-meta-sha256: {}\r\n", sha256(b"{}")), Vec::new()),
    };
    let server = Scripted::start(script).await.unwrap();
    let (store, job) = (store(&server, &[]).await.unwrap(), job("a"));
    let stored = store.put(&ObjectKey::Receipt(&job), Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!((stored.sha256, stored.bytes), (sha, 2));
    assert_eq!(server.asked()[1..], ["PUT /shanshui/jobs/a/receipt.json", "HEAD /shanshui/jobs/a/receipt.json"]);
}

#[tokio::test]
async fn r26_a_store_without_conditional_writes_is_found_out_and_looked_into_before_it_is_written() {
    let objects = Mutex::new(HashMap::<String, String>::new());
    let script = move |asked: &Asked| {
        let mut objects = objects.lock().unwrap();
        let (method, path) = asked.line.split_once(' ').unwrap();
        let sha = asked.headers.lines().find_map(|line| line.strip_prefix("x-amz-meta-sha256: "));
        match (method, objects.get(path)) {
            ("PUT", _) => {
                objects.insert(path.to_owned(), sha.unwrap_or_default().to_owned());
                status("200 OK")
            }
            ("HEAD", None) if path.contains("jobs") => status("404 Not Found"),
            ("HEAD", Some(sha)) => Reply::Say("200 OK", format!("x-amz-meta-sha256: {sha}\r\n"), Vec::new()),
            _ => status("200 OK"),
        }
    };
    let server = Scripted::start(script).await.unwrap();
    let store = Store::connect(&options(&["--s3-endpoint", &server.endpoint])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Receipt(&job);
    let first = store.put(&key, Bytes::from_static(b"first")).await.unwrap();
    let second = store.put(&key, Bytes::from_static(b"second")).await.unwrap();
    assert_eq!((first.existed, second.existed, second.sha256), (false, true, first.sha256));
    let writes = server.asked().iter().filter(|line| line.starts_with("PUT /shanshui/jobs")).count();
    assert_eq!(writes, 1);
}

#[tokio::test]
async fn r26_two_writers_that_both_looked_too_early_write_the_same_bytes_and_both_succeed() {
    let script = |asked: &Asked| match asked.line.split_once(' ') {
        Some(("HEAD", path)) if path.contains("jobs") => status("404 Not Found"),
        _ => status("200 OK"),
    };
    let server = Scripted::start(script).await.unwrap();
    let store = Store::connect(&options(&["--s3-endpoint", &server.endpoint])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Picture { job: &job, index: 0, extension: "png" };
    let picture = Bytes::from_static(b"the same seed, the same bytes");
    let (first, zombie) = tokio::join!(store.put(&key, picture.clone()), store.put(&key, picture));
    assert_eq!(first.unwrap().sha256, zombie.unwrap().sha256);
}

#[tokio::test]
async fn r25_a_store_that_does_not_let_us_in_is_an_outage_and_one_that_dislikes_the_request_is_not() {
    for (line, code, outage) in [
        ("403 Forbidden", "AccessDenied", true),
        ("404 Not Found", "NoSuchBucket", true),
        ("403 Forbidden", "RequestTimeTooSkewed", true),
        ("400 Bad Request", "ExpiredToken", true),
        ("400 Bad Request", "KeyTooLongError", false),
    ] {
        let server = Scripted::start(move |_| error(line, code)).await.unwrap();
        let failure = store(&server, &[]).await.unwrap().get("audio/a", 10).await.unwrap_err();
        assert_eq!(matches!(failure, Failure::Outage(_)), outage, "{failure}");
        assert!(failure.to_string().contains(code), "{failure}");
    }
}

#[tokio::test]
async fn r21_an_unreachable_store_is_an_outage() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let store = Store::open(&options(&["--s3-endpoint", &format!("http://{address}")])).await.unwrap();
    let failure = store.get("audio/a", 10).await.unwrap_err();
    assert!(matches!(failure, Failure::Outage(_)), "{failure}");
    assert!(failure.to_string().contains("shanshui/audio/a"), "{failure}");
}

#[tokio::test]
async fn r31_a_store_that_tells_the_time_differently_is_named_when_the_difference_cannot_be_corrected() {
    // It does not say what time it has.
    let server = Scripted::start(|_| error("403 Forbidden", "RequestTimeTooSkewed")).await.unwrap();
    let error = Store::connect(&options(&["--s3-endpoint", &server.endpoint])).await.unwrap_err().to_string();
    assert!(error.contains("set the clock") && error.contains("RequestTimeTooSkewed"), "{error}");
}

#[tokio::test]
async fn an_object_larger_than_its_header_says_is_rejected_at_the_limit() {
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400)).repeat(64);
    let headers = "transfer-encoding: chunked\r\nx-note: no content-length\r\n";
    let script = move |_: &Asked| Reply::Say("200 OK", headers.into(), format!("{chunk}0\r\n\r\n").into_bytes());
    let server = Scripted::start(script).await.unwrap();
    let failure = store(&server, &[]).await.unwrap().get("audio/a", 10_000).await.unwrap_err();
    assert!(matches!(failure, Failure::Reject(_)), "{failure}");
    assert!(failure.to_string().contains("at most 10000"), "{failure}");
}

#[tokio::test]
async fn r23_a_body_that_stalls_is_an_outage_when_the_time_is_over() {
    let server = Scripted::start(|_| Reply::Stall).await.unwrap();
    let short = ["--s3-attempt-seconds", "1", "--s3-operation-seconds", "1"];
    let failure = store(&server, &short).await.unwrap().get("audio/a", 10).await.unwrap_err();
    assert!(matches!(failure, Failure::Outage(_)), "{failure}");
    assert!(failure.to_string().contains("not complete after 1 s"), "{failure}");
}
