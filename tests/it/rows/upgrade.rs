//! Workers and senders of another version on the same streams.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use shanshui_tests::{Stack, recording};

use super::{Worker, connect};

#[tokio::test]
async fn r37_what_a_newer_version_adds_goes_through_both_stages_and_stops_neither() {
    let stack = Stack::start();
    let (client, queue) = (stack.client().await, connect(&stack).await);
    let _ear = Worker::start(&stack, "transcribe", "ear");
    client.put("audio/cat.wav", recording("cat.wav")).await;
    let preset = json!({ "deep": [1, { "none": null }], "text": "未来" });
    let picture = json!({ "width": 64, "height": 64, "steps": 2, "count": 1, "hdr": { "nits": 1000 } });
    let audio = json!({ "key": "audio/cat.wav", "channel": 1 });
    let payload = json!({ "id": "newer", "audio": audio, "picture": picture, "preset": preset, "version": 9 });
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/json; version=9");
    headers.insert("Shanshui-Future", "of some use, some day");
    said_by_a_newer_worker(&queue).await;
    let sent = queue.publish_with_headers("shanshui.audio.default", headers, payload.to_string().into()).await;
    sent.expect("an allowed size").await.expect("the stream takes the job");

    client.read("newer", |story| story.all("transcript").len() == 1).await;
    shanshui_tests::until("the next job", async || (client.waiting("TEXT", "paint").await == 1).then_some(())).await;
    let text = queue.get_stream("TEXT").await.expect("a stream").get_raw_message(1).await.expect("the next job");
    let next: Value = serde_json::from_slice(&text.payload).expect("JSON");
    assert_eq!((&next["preset"], &next["version"]), (&preset, &9.into()), "{next:#}");
    assert_eq!(next["picture"]["hdr"]["nits"], 1000, "{next:#}");

    let _hand = Worker::start(&stack, "paint", "hand");
    client.follow("newer").await;
    let story = client.whole_story("newer").await;
    let expected = ["dance", "nonsense", "accepted", "started", "transcript", "started", "picture", "done"];
    assert_eq!(story.kinds(), expected);
    let shown = stack.run(&["jobs", "show", "newer"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("job newer: done"));
}

/// An event of a kind that this version does not know, and one that lacks what this version needs.
async fn said_by_a_newer_worker(queue: &async_nats::jetstream::Context) {
    let mut config = queue.get_stream("EVENTS").await.expect("a stream").cached_info().config.clone();
    config.subjects.extend(["dance", "nonsense"].map(|kind| format!("shanshui.events.*.{kind}")));
    queue.update_stream(config).await.expect("a newer version keeps more kinds of events");
    for kind in ["dance", "nonsense"] {
        let event = json!({
            "specversion": "1.0", "id": format!("newer/{kind}"), "source": "/shanshui/paint/newer",
            "type": format!("shanshui.job.{kind}.v1"), "subject": "newer", "time": "2027-01-01T00:00:00Z",
            "data": { "kind": kind },
        });
        let sent = queue.publish(format!("shanshui.events.newer.{kind}"), event.to_string().into()).await;
        sent.expect("an allowed size").await.expect("the stream takes the event");
    }
}
