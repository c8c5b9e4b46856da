//! Following: from the first event, from the middle, from nowhere.

use serde_json::{Value, json};
use shanshui_tests::Stack;
use shanshui_tests::door::Stream;

use super::{door, gateway, painted, text};

/// Followers that wait for a job that nobody works on.
const IDLE: usize = 1000;
/// Most memory that a gateway with so many has, in MiB.
const MEMORY: u64 = 200;

#[test]
fn a_follower_resumes_where_it_left_and_is_sent_away_after_the_end() {
    let door = door();
    let job = painted(&door, &[]).is(200).json();
    let place = text(&job["links"]["events"]);
    let all: Vec<_> = door.follow(&place, &[]).collect();
    let numbers: Vec<u64> = all.iter().map(|event| event.id.parse().expect("a sequence")).collect();
    assert!(numbers.is_sorted() && numbers.len() >= 4, "{all:?}");
    for event in &all {
        assert_eq!((&event.data["subject"], &event.data["data"]["kind"]), (&job["id"], &event.kind.as_str().into()));
    }
    assert_eq!(all.last().map(|event| event.kind.as_str()), Some("done"));
    let rest: Vec<_> = door.follow(&place, &[("Last-Event-ID", &all[1].id)]).collect();
    assert_eq!(rest, all[2..]);
    let rest: Vec<_> = door.follow(&format!("{place}?last_event_id={}", all[2].id), &[]).collect();
    assert_eq!(rest, all[3..]);
    assert_eq!(door.follow(&place, &[("Last-Event-ID", &all[all.len() - 1].id)]).status, 204);
}

#[test]
fn progress_is_heard_while_it_goes_on() {
    let door = door();
    let job = json!({ "text": "a river", "picture": { "steps": 40, "count": 1 } });
    let sent = door.post("/v1/jobs", &[], &job).is(202).json();
    let kinds: Vec<_> =
        door.follow(&text(&sent["links"]["events"]), &[]).map(|event| (event.kind, event.id.is_empty())).collect();
    assert!(kinds.contains(&("progress".to_owned(), true)), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&("done".to_owned(), false)));
}

/// No worker, so that the job waits; then no queue.
#[tokio::test]
async fn a_thousand_idle_followers_are_cheap_and_an_absent_queue_is_a_503() {
    let mut stack = Stack::start();
    let (door, process) = gateway(&stack, &[]);
    let sent = door.post("/v1/jobs", &[], &json!({ "text": "a boat" })).is(202).json();
    assert_eq!((&sent["place"], &sent["workers"]), (&0.into(), &0.into()), "{sent}");
    let place = text(&sent["links"]["events"]);
    let mut followers: Vec<_> = (0..IDLE).map(|_| door.follow(&place, &[])).collect();
    assert!(followers.iter().all(|follower| follower.status == 200));
    let firsts: Vec<_> = followers.iter_mut().map(|follower| follower.next().expect("an event").kind).collect();
    assert!(firsts.iter().all(|kind| kind == "queued"));
    let memory = memory_mib(process.pid());
    assert!(memory < MEMORY, "{memory} MiB for {IDLE} followers");
    let mut reader = followers.remove(0);
    followers.truncate(20);
    r30_a_client_that_does_not_read_costs_nothing(&stack, &text(&sent["id"]), &mut reader).await;
    let after = memory_mib(process.pid());
    assert!(after < memory + 64, "{memory} MiB became {after} MiB while {} clients did not read", followers.len());
    drop((followers, reader));

    stack.stop_nats();
    process.says("lost the connection", shanshui_tests::PATIENCE);
    let away = door.post("/v1/jobs", &[], &json!({ "text": "a boat" })).is(503);
    assert_eq!((away.json()["error"]["code"].as_str(), away.header("retry-after")), (Some("service-away"), "5"));
    door.get("/").is(200);
}

/// Tells more than all buffers hold, while one client reads and the others do not.
async fn r30_a_client_that_does_not_read_costs_nothing(stack: &Stack, job: &str, reader: &mut Stream) {
    let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
    let told = |kind: &str, data: Value| {
        let event = json!({ "subject": job, "time": "2027-01-01T00:00:00Z", "source": "/shanshui/test", "data": data });
        nats.publish(format!("shanshui.events.{job}.{kind}"), event.to_string().into())
    };
    let stage = "x".repeat(8 << 10);
    for done in 0..5000 {
        let data = json!({ "kind": "progress", "stage": stage, "done": done, "total": 5000, "eta": null });
        told("progress", data).await.expect("a connection");
    }
    told("canceled", json!({ "kind": "canceled", "stage": "paint" })).await.expect("a connection");
    nats.flush().await.expect("a connection");
    assert_eq!(reader.last().map(|event| event.kind).as_deref(), Some("canceled"));
}

#[tokio::test]
async fn s22_a_full_queue_is_a_503_before_anything_is_put_into_the_bucket() {
    let stack = Stack::start_with(&["--queue-bytes", "1048576"]);
    let (door, _process) = gateway(&stack, &["--jobs-per-minute", "0"]);
    let send = |bytes: usize| door.send("POST", "/v1/jobs", &[("Content-Type", "audio/wav")], &vec![b'x'; bytes]);
    for size in [300_000, 30_000, 3000, 300] {
        while send(size).status == 202 {}
    }
    let client = stack.client().await;
    for full in [send(300), send(9 << 20)] {
        let full = full.is(503);
        assert_eq!((full.json()["error"]["code"].as_str(), full.header("retry-after")), (Some("queue-full"), "30"));
    }
    assert_eq!(client.keys("audio/").await, Vec::<String>::new());
}

pub(super) fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}
