//! Webhooks, to a receiver that is one.

use std::ops::Deref;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use shanshui_tests::door::Door;
use shanshui_tests::{Dead, Got, PATIENCE, Pages, Process, Receiver, python, until};

use super::{gateway, small, text};
use crate::clients::telling as stack;

const OWN: [&str; 4] = ["--gateway-secret", "a secret of these tests alone", "--webhook-allow", "127.0.0.1"];

/// A gateway that tells, and the only one that does so now.
pub(super) struct Teller {
    // Ends before the next one may begin.
    process: Process,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Teller {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// A gateway that sends webhooks to this machine, if it is called by an address.
pub(super) fn hooked(more: &[&str]) -> (Door, Teller) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (door, process) = gateway(stack(), &[&OWN, more].concat());
    (door, Teller { process, _alone })
}

/// Sends a small text with this webhook; returns the job's name.
fn sends(door: &Door, url: &str) -> String {
    text(
        &door.post("/v1/jobs", &[], &json!({ "text": "a boat", "picture": small(), "webhook": url })).is(202).json()["id"],
    )
}

/// What a receiver that knows nothing but the specification and Python makes of the signature.
fn is_signed(secret: &str, got: &Got) -> bool {
    let script = "import base64, hashlib, hmac, sys\n\
        secret, id, time, signature = sys.argv[1:]\n\
        key = base64.b64decode(secret.removeprefix('whsec_'))\n\
        signed = hmac.new(key, f'{id}.{time}.'.encode() + sys.stdin.buffer.read(), hashlib.sha256).digest()\n\
        sys.exit(signature != 'v1,' + base64.b64encode(signed).decode())";
    let body = shanshui_tests::scratch();
    let file = body.path().join("body");
    std::fs::write(&file, &got.body).expect("a file");
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| got.header(name));
    let mut command = Command::new(python());
    command.args(["-c", script, secret]).args(headers).stdin(std::fs::File::open(&file).expect("a file"));
    command.status().expect("python starts").success()
}

async fn buried(job: &str) -> Dead {
    let client = stack().client().await;
    until("a dead letter", async || client.dead(job).await).await
}

#[tokio::test]
async fn a_receiver_is_told_once_with_a_signature_that_holds() {
    let (door, process) = hooked(&[]);
    let receiver = Receiver::start(&["204 No Content"]);
    let secret = text(&door.get("/v1/webhooks/secret").is(200).json()["secret"]);
    let id = sends(&door, &receiver.url("127.0.0.1"));
    let got = receiver.gets(1).await.remove(0);
    assert!(is_signed(&secret, &got) && !is_signed("whsec_AAAA", &got), "{got:?}");
    let told: Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(
        (&told["type"], &told["data"]["id"], &told["data"]["state"]),
        (&"job.done".into(), &id.clone().into(), &"done".into())
    );
    assert_eq!(got.line, "POST /hook?from=test HTTP/1.1");
    let picture = text(&told["data"]["pictures"][0]["url"]);
    assert!(picture.starts_with(&format!("http://{}/v1/jobs/{id}/pictures/0", door.address())), "{told}");
    process.says("a webhook is delivered", PATIENCE);
    // The address is no part of the job, which everybody sees who sees its events.
    assert!(!door.get(&format!("/v1/jobs/{id}")).is(200).text().contains("from=test"));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(receiver.connections(), 1);
    // Nothing of it takes room any more.
    let nats = async_nats::connect(stack().url()).await.expect("the queue answers");
    let stream = async_nats::jetstream::new(nats).get_stream("WEBHOOKS").await.expect("a stream");
    for subject in [format!("shanshui.webhook.{id}"), format!("shanshui.webhook.default.{id}")] {
        assert!(stream.get_last_raw_message_by_subject(&subject).await.is_err(), "{subject}");
    }
}

#[tokio::test]
async fn one_webhook_that_cannot_be_queued_holds_up_no_other() {
    let (door, process) = hooked(&[]);
    let receiver = Receiver::start(&["200 OK"]);
    let nats = async_nats::connect(stack().url()).await.expect("the queue answers");
    for number in 0..10 {
        // No stream takes the subject of this lane.
        let wish = json!({ "version": 1, "url": "https://example.com/", "caller": "", "lane": "a.b", "site": "" });
        let job = format!("unheard-{number}");
        nats.publish(format!("shanshui.webhook.{job}"), wish.to_string().into()).await.expect("a connection");
        let wrong = json!({ "id": job, "text": "a boat", "picture": { "steps": 0 } });
        nats.publish("shanshui.text.default", wrong.to_string().into()).await.expect("a connection");
    }
    nats.flush().await.expect("a connection");
    process.says("cannot queue the webhook of a job that has ended", PATIENCE);
    sends(&door, &receiver.url("127.0.0.1"));
    let told = tokio::time::timeout(std::time::Duration::from_secs(12), receiver.gets(1)).await;
    assert!(told.is_ok(), "others wait for it");
    // A host that would stand in every link is none.
    for host in ["a".repeat(65_000), "a.example/x?".to_owned()] {
        let wanted = json!({ "text": "a boat", "webhook": receiver.url("127.0.0.1") });
        let refused = door.post("/v1/jobs", &[("Host", &host)], &wanted);
        assert!([400, 403].contains(&refused.status), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_job_that_was_erased_is_done_and_told_when_it_is_sent_again() {
    let (door, _process) = hooked(&[]);
    let receiver = Receiver::start(&["200 OK"]);
    let key = [("Idempotency-Key", "erased in between"), ("Prefer", "wait=120")];
    let job = json!({ "text": "a boat", "picture": small(), "webhook": receiver.url("127.0.0.1") });
    for round in 1..=2 {
        let done = door.post("/v1/jobs", &key, &job).is(200).json();
        let id = text(&done["id"]);
        receiver.gets(round).await;
        door.get(&format!("/v1/jobs/{id}/pictures/0")).is(200);
        let erased = stack().run(&["erase", &id]);
        assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
        door.get(&format!("/v1/jobs/{id}")).is(404);
    }
}

#[tokio::test]
async fn a_receiver_that_failed_is_told_again_by_whoever_lives() {
    let (door, process) = hooked(&[]);
    let receiver = Receiver::start(&["500 Oh", "302 Found\r\nLocation: /elsewhere", "200 OK"]);
    let id = sends(&door, &receiver.url("127.0.0.1"));
    receiver.gets(1).await;
    process.says("a webhook comes again", PATIENCE);
    process.signal("KILL");
    process.ends(PATIENCE);
    let (door, _another) = gateway(stack(), &OWN);
    let got = receiver.gets(2).await;
    let ids: Vec<_> = got.iter().take(2).map(|got| got.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, [format!("msg_{id}_0"), format!("msg_{id}_0")]);
    let secret = text(&door.get("/v1/webhooks/secret").is(200).json()["secret"]);
    assert!(got.iter().all(|got| is_signed(&secret, got)));
    // A redirect is followed nowhere.
    assert!(got.iter().all(|got| got.line.starts_with("POST /hook")), "{got:?}");
}

#[tokio::test]
async fn s11_a_webhook_reaches_no_machine_of_ours() {
    let (door, _process) = hooked(&[]);
    let receiver = Receiver::start(&["200 OK"]);
    let other = Receiver::start(&["200 OK"]).url("x").replace("http://x", "");
    for url in [
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::1]/".into(),
        "https://10.0.0.1/".into(),
        "https://[::ffff:127.0.0.1]/".into(),
        "file:///etc/passwd".into(),
        "https://a:b@example.com/".into(),
        receiver.url("localhost"),
        format!("https://127.1@localhost{other}"),
        format!("http://127.0.0.1@localhost{other}"),
        "https://example.com/\r\nX: y".into(),
        String::new(),
    ] {
        let refused = door.post("/v1/jobs", &[], &json!({ "text": "a boat", "webhook": url })).is(400).json();
        assert_eq!(refused["error"]["param"], "webhook", "{url}: {refused}");
    }
    door.post("/v1/jobs?webhook=https://example.com/", &[], &json!({ "text": "a", "webhook": "https://example.com/" }))
        .is(400);
    door.post("/v1/jobs", &[], &json!({ "text": "a boat", "webhook": { "url": "https://example.com/" } })).is(400);
    // Names, and forms of addresses that only a resolver knows, are found out when they are resolved.
    for host in ["localhost", "2130706433", "0x7f.1", "127.1"] {
        let id = sends(&door, &receiver.url(host).replace("http://", "https://"));
        let dead = buried(&id).await;
        assert!(dead.reason.contains("its name leads to a private address"), "{host}: {dead:?}");
        assert!(dead.worker.parse::<u32>().is_ok() && !dead.reason.contains("from=test"), "{dead:?}");
    }
    assert_eq!(receiver.connections(), 0);
    // Without a secret there is nothing to sign with.
    let refused =
        super::door().post("/v1/jobs", &[], &json!({ "text": "a", "webhook": "https://example.com/" })).is(400);
    assert!(refused.text().contains("gateway-secret"), "{}", refused.text());
}

#[tokio::test]
async fn a_receiver_that_says_nothing_keeps_nobody_waiting_and_is_given_up_with_a_reason() {
    let pages = Pages::reserve();
    let (door, _process) = hooked(&["--webhook-seconds", "1", "--http", pages.address()]);
    let (silent, quick) = (Receiver::start(&[""]), Receiver::start(&["200 OK"]));
    let poor = Receiver::start(&["500 Oh"]);
    for _ in 0..3 {
        sends(&door, &silent.url("127.0.0.1"));
    }
    silent.gets(3).await;
    let failing = sends(&door, &poor.url("127.0.0.1"));
    sends(&door, &quick.url("127.0.0.1"));
    quick.gets(1).await;
    assert_eq!(silent.got().len(), 3, "the first three still wait for an answer");
    until("a look at what is due", async || (pages.metric("shanshui_webhooks_in_work") >= 3.0).then_some(())).await;
    assert!(pages.metric("shanshui_webhooks_oldest_seconds") >= 1.0, "{:?}", pages.get("/metrics"));
    let dead = buried(&failing).await;
    assert!(dead.reason.ends_with("it answers 500") && dead.attempts == "3", "{dead:?}");
    let tries = |outcome: &str| pages.metric(&format!("shanshui_webhooks_total{{outcome=\"{outcome}\"}}"));
    assert!(
        tries("delivered") >= 1.0 && tries("again") >= 2.0 && tries("given-up") >= 1.0,
        "{:?}",
        pages.get("/metrics")
    );
    assert_eq!(dead.subject, format!("shanshui.webhook.default.{failing}"));
    assert_eq!(poor.got().len(), 3);
}

#[test]
fn the_same_request_has_one_webhook() {
    let (door, _process) = hooked(&[]);
    let key = [("Idempotency-Key", "one webhook")];
    let job = |url: &str| json!({ "text": "a boat", "picture": small(), "webhook": url });
    let sent =
        [(); 2].map(|()| door.post("/v1/jobs", &key, &job("https://hooks.invalid/a")).is(202).json()["id"].clone());
    assert_eq!(sent[0], sent[1]);
    let refused = door.post("/v1/jobs", &key, &job("https://hooks.invalid/b")).is(409).json();
    assert_eq!(refused["error"]["param"], "webhook", "{refused}");
}
