//! Answers about jobs whose events say what no worker of ours would, or nothing yet.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};
use shanshui_tests::door::Answer;
use shanshui_tests::{Door, Stack};

use super::{gateway, text};

/// Tells events of a job as a worker does.
struct Teller {
    nats: async_nats::Client,
    queued: async_nats::Subscriber,
}

impl Teller {
    async fn of(stack: &Stack) -> Self {
        let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
        let queued = nats.subscribe("shanshui.events.*.queued").await.expect("a subscription");
        nats.flush().await.expect("a connection");
        Self { nats, queued }
    }

    /// Sends a request; comes back with the name of its job and with what the answer will be.
    async fn ask(&mut self, door: &Door, path: &str, prefer: &str, job: Value) -> (String, JoinHandle<Answer>) {
        let (door, path, prefer) = (door.clone(), path.to_owned(), prefer.to_owned());
        let asking = thread::spawn(move || door.post(&path, &[("Prefer", &prefer)], &job));
        let queued = self.queued.next().await.expect("a job that waits");
        (queued.subject.split('.').nth(2).expect("a name").to_owned(), asking)
    }

    async fn tell(&self, id: &str, events: &[Value]) {
        for data in events {
            let (time, source) = ("2027-01-01T00:00:00Z", "/shanshui/test");
            let event = json!({ "subject": id, "time": time, "source": source, "data": data });
            let subject = format!("shanshui.events.{id}.{}", text(&data["kind"]));
            self.nats.publish(subject, event.to_string().into()).await.expect("a connection");
        }
        self.nats.flush().await.expect("a connection");
    }
}

fn picture(index: u32, key: &str, sha256: &str) -> Value {
    json!({ "kind": "picture", "index": index, "key": key, "sha256": sha256, "seed": 7, "width": 8, "height": 8 })
}

fn done() -> Value {
    json!({ "kind": "done", "stage": "paint", "key": null, "seconds": 1.0 })
}

fn accepted() -> Value {
    json!({ "kind": "accepted", "stage": "paint", "lane": "default" })
}

#[tokio::test]
async fn a_wait_ends_with_the_jobs_address_and_with_its_state() {
    let stack = Stack::start();
    let (door, _process) = gateway(&stack, &[]);
    let mut teller = Teller::of(&stack).await;
    let job = json!({ "text": "a boat" });
    let failed = json!({ "kind": "failed", "stage": "paint", "code": "time-limit", "reason": "r", "attempts": 1 });
    let (id, asking) = teller.ask(&door, "/v1/jobs", "wait=60", job.clone()).await;
    teller.tell(&id, &[accepted(), failed]).await;
    let answer = asking.join().expect("an answer");
    let place = format!("/v1/jobs/{id}");
    let answer = answer.is(504);
    assert_eq!((answer.header("location"), &answer.json()["id"]), (place.as_str(), &json!(id)));
    let started = json!({ "kind": "started", "stage": "paint", "worker": "w", "attempt": 1 });
    let (id, asking) = teller.ask(&door, "/v1/jobs", "respond-async, Wait = 2", job).await;
    teller.tell(&id, &[accepted(), started]).await;
    let told = asking.join().expect("an answer").is(202).json();
    assert_eq!((&told["state"], &told["id"], &told["place"]), (&"running".into(), &json!(id), &Value::Null), "{told}");
}

#[tokio::test]
async fn no_shape_sends_an_object_that_is_not_the_jobs() {
    let stack = Stack::start();
    let (door, _process) = gateway(&stack, &[]);
    let client = stack.client().await;
    client.put("jobs/other/0.png", "a secret").await;
    let mut teller = Teller::of(&stack).await;
    let secret = shanshui_tests::sha256(&"a secret".into());
    for (path, list) in [("/v1/images/generations", "data"), ("/sdapi/v1/txt2img", "images")] {
        let (id, asking) = teller.ask(&door, path, "", json!({ "prompt": "a boat" })).await;
        teller.tell(&id, &[accepted(), picture(0, "jobs/other/0.png", &secret), done()]).await;
        assert_eq!(asking.join().expect("an answer").is(200).json()[list], json!([]), "{path}");
        assert_eq!(door.get(&format!("/v1/jobs/{id}")).is(200).json()["pictures"], json!([]));
        // In the folder of the job, and not what it made; then gone.
        let (id, asking) = teller.ask(&door, path, "", json!({ "prompt": "a boat" })).await;
        let own = format!("jobs/{id}/0.png");
        client.put(&own, "another picture").await;
        teller.tell(&id, &[accepted(), picture(0, &own, &secret), done()]).await;
        assert_eq!(asking.join().expect("an answer").is(502).json()["error"]["code"], "wrong-object", "{path}");
        let (id, asking) = teller.ask(&door, path, "", json!({ "prompt": "a boat" })).await;
        teller.tell(&id, &[accepted(), picture(0, &format!("jobs/{id}/0.png"), &secret), done()]).await;
        let gone = asking.join().expect("an answer").is(404).text();
        assert!(!gone.contains("0.png") && !gone.contains("127.0.0.1"), "{gone}");
    }
}

#[tokio::test]
async fn s20_a_place_behind_the_last_event_is_no_place() {
    let stack = Stack::start();
    let (door, _process) = gateway(&stack, &[]);
    let sent = door.post("/v1/jobs", &[], &json!({ "text": "a boat" })).is(202).json();
    let place = text(&sent["links"]["events"]);
    for last in [u64::MAX, i64::MAX as u64, 1000] {
        let mut follower = door.follow(&place, &[("Last-Event-ID", &last.to_string())]);
        assert_eq!((follower.status, follower.next().expect("an event").kind.as_str()), (200, "queued"), "{last}");
    }
}

#[tokio::test]
async fn a_document_comes_without_what_a_store_or_a_queue_does_not_tell_in_time() {
    let stack = Stack::behind_proxies(&[]);
    let (door, _process) = gateway(&stack, &[]);
    let mut teller = Teller::of(&stack).await;
    let (id, asking) = teller.ask(&door, "/v1/jobs", "wait=0", json!({ "text": "a boat" })).await;
    asking.join().expect("an answer").is(202);
    teller.tell(&id, &[accepted(), done()]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    stack.s3_proxy().freeze(true);
    let began = Instant::now();
    let document = door.get(&format!("/v1/jobs/{id}")).is(200).json();
    assert_eq!((&document["state"], &document["receipt"]), (&"done".into(), &Value::Null));
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    stack.s3_proxy().freeze(false);

    teller.nats.publish("shanshui.text.default", "{\"id\":\"untold\",\"text\":\"a boat\"}".into()).await.expect("sent");
    teller.nats.flush().await.expect("a connection");
    assert_eq!(door.get("/v1/jobs/untold").is(200).json()["state"], "queued");
    // A search that takes too long has not found that there is nothing.
    stack.nats_proxy().delay(Duration::from_millis(1200));
    let slow = door.get("/v1/jobs/untold").is(503);
    assert_eq!(slow.header("retry-after"), "2", "{slow:?}");
    stack.nats_proxy().delay(Duration::ZERO);
    door.get("/v1/jobs/untold").is(200);
}
