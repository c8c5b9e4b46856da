//! What the chaos run believes, it must be able to doubt: streams and objects made by hand.

use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use serde_json::{Value, json};
use shanshui_tests::chaos::{End, judge};
use shanshui_tests::{Client, Stack, sha256};

const PICTURE: &[u8] = b"a picture";

/// Tells the events of jobs that no worker has ever seen.
struct Teller<'a> {
    queue: Context,
    client: Client<'a>,
}

impl Teller<'_> {
    async fn tell(&self, job: &str, kind: &str, mut data: Value) {
        data["kind"] = kind.into();
        let event = json!({ "source": "/shanshui/paint/nobody", "data": data });
        let sent = self.queue.publish(format!("shanshui.events.{job}.{kind}"), event.to_string().into()).await;
        sent.expect("a small event").await.expect("a stream of events");
    }

    /// A job with one picture, up to but without its end.
    async fn paint(&self, job: &str) {
        let (key, hash) = (format!("jobs/{job}/0.png"), sha256(&Bytes::from_static(PICTURE)));
        self.tell(job, "accepted", json!({})).await;
        self.client.put(&key, PICTURE).await;
        self.tell(job, "picture", json!({ "index": 0, "key": key, "sha256": hash })).await;
        let receipt = json!({ "objects": [{ "kind": "picture", "key": key, "sha256": hash }] });
        self.client.put(&format!("jobs/{job}/receipt.json"), receipt.to_string()).await;
    }

    async fn done(&self, job: &str) {
        self.paint(job).await;
        self.tell(job, "done", json!({})).await;
    }
}

#[tokio::test]
async fn the_chaos_run_names_every_job_that_is_lost_doubled_or_wrong_and_no_other() {
    let stack = Stack::start();
    let queue = jetstream::new(async_nats::connect(stack.url()).await.unwrap());
    let teller = Teller { queue, client: stack.client().await };
    for job in ["right", "twice-ended", "changed", "stray", "told-twice", "gone", "short"] {
        teller.done(job).await;
    }
    teller.paint("endless").await;
    teller.tell("unburied", "accepted", json!({})).await;
    teller.tell("unburied", "failed", json!({})).await;
    teller.tell("twice-ended", "failed", json!({})).await;
    teller.client.put("jobs/changed/0.png", "another picture").await;
    teller.client.put("jobs/stray/1.png", PICTURE).await;
    teller.tell("told-twice", "picture", json!({ "index": 0, "key": "jobs/told-twice/0.png" })).await;
    std::fs::remove_file(stack.objects().file("jobs/gone/0.png")).unwrap();
    teller.tell("stranger", "accepted", json!({})).await;
    let one = End::Pictures(1);
    let wanted = [
        ("right", one),
        ("twice-ended", one),
        ("changed", one),
        ("stray", one),
        ("told-twice", one),
        ("gone", one),
        ("short", End::Pictures(2)),
        ("endless", one),
        ("unburied", End::Dead),
        ("never-told", one),
    ];
    let found = judge(&stack, &wanted).await;
    let expected = [
        "lost: gone: jobs/gone/0.png is in the receipt and not in the bucket",
        "lost: endless: final events []",
        "lost: never-told: final events []",
        "lost: unburied: not in DEAD",
        "doubled: twice-ended: final events [\"done\", \"failed\"]",
        "doubled: changed: jobs/changed/0.png is another object than that of the receipt",
        "doubled: stray: jobs/stray/1.png is in no receipt",
        "doubled: told-twice: 2 events for jobs/told-twice/0.png",
        "wrong: short: 1 pictures instead of 2",
        "wrong: stranger: nobody published this job",
    ];
    assert_eq!(found, expected, "{found:#?}");
}
