//! Traces: from the sender over both queues to the receipt, at a collector that speaks OTLP.

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};
use shanshui_tests::{Client, Job, PATIENCE, Process, Stack, recording, root, until};

use shanshui_tests::collector::{Collector, Span};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn worker(stack: &Stack, stage: &str, endpoint: &str) -> Process {
    let mut command = stack.worker_command(stage, stage);
    command.env("SHANSHUI_WHISPER", shanshui_tests::whisper("tiny.en"));
    Process::spawn(stage, command.env(ENDPOINT, endpoint).env("SHANSHUI_LOG_FORMAT", "json"))
}

fn said(command: &mut Command) -> Value {
    let output = command.output().expect("shanshui starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn child_of<'a>(spans: &'a [Span], name: &str, parent: &Span) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name && span.parent == parent.id);
    found.unwrap_or_else(|| panic!("no span {name} under {} among {spans:#?}", parent.name))
}

#[tokio::test]
async fn one_trace_goes_from_the_sender_over_both_queues_to_the_receipt() {
    let (stack, collector) = (Stack::start(), Collector::start());
    let workers = ["transcribe", "paint"].map(|stage| worker(&stack, stage, &collector.endpoint()));
    a_job_of_our_own_is_one_trace(&stack, &collector).await;
    let client = stack.client().await;
    a_stranger_s_trace_goes_on(&client, &collector, &workers[1]).await;
    what_is_no_trace_begins_one(&client, &collector).await;
    nothing_is_told_of_a_trace_that_is_not_sampled(&client, &collector).await;
}

async fn a_job_of_our_own_is_one_trace(stack: &Stack, collector: &Collector) {
    let cat = root().join("tests/data/speech/cat.wav");
    let mut say = stack.command(&["say", cat.to_str().expect("a path"), "--steps", "2", "--count", "1", "--json"]);
    let told = said(say.env(ENDPOINT, collector.endpoint()));
    let job = told["job"].as_str().expect("a name");
    let sent = collector.span(job, "send audio").await;
    let heard = collector.span(job, "transcribe").await;
    let painted = collector.span(job, "paint").await;
    assert_eq!((&heard.trace, &painted.trace), (&sent.trace, &sent.trace));
    assert_eq!((&heard.parent, &painted.parent), (&sent.id, &heard.id));
    assert_eq!((sent.parent.as_str(), sent.kind, heard.kind, painted.kind), ("", 4, 5, 5));
    assert_eq!((heard.text("shanshui.outcome"), painted.text("shanshui.outcome")), ("finished", "done"));
    let all = collector.trace(&sent.trace);
    for (stage, parent, names) in [
        (&heard, &sent, &["admit", "decode", "upload", "settle"][..]),
        (&painted, &heard, &["admit", "text", "steps", "vae", "file", "upload", "settle"][..]),
    ] {
        child_of(&all, &format!("wait for {}", stage.name), parent);
        for name in names {
            let part = child_of(&all, name, stage);
            let slack = 5_000_000;
            assert!(part.times.0 + slack >= stage.times.0 && part.times.1 <= stage.times.1 + slack, "{part:?}");
        }
    }
    // Whisper's two halves.
    assert!(["encode", "tokens"].iter().all(|name| all.iter().any(|span| span.name == *name)), "{all:#?}");
    let settle = child_of(&all, "settle", &painted);
    child_of(&all, "upload", settle);
}

async fn a_stranger_s_trace_goes_on(client: &Client<'_>, collector: &Collector, paint: &Process) {
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let job =
        Job::new("stranger").with("TraceParent", &parent).with("tracestate", "vendor=1").typed("application/json");
    let story =
        client.publish_and_follow(&job, "text", json!({ "text": "a cat", "picture": quick() }).to_string()).await;
    let span = collector.span(&job.id, "paint").await;
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, "b7ad6b7169203331"));
    // The events of the job, for listeners with traces of their own.
    let event = story.envelope("done");
    assert_eq!(event["traceparent"], format!("00-{TRACE}-{}-01", span.id));
    assert_eq!(event["tracestate"], "vendor=1");
    // And every line of the log.
    let line = until("a line of the log", async || {
        paint.log().lines().find(|line| line.contains("job settled") && line.contains(&job.id)).map(str::to_owned)
    });
    let line: Value = serde_json::from_str(&line.await).expect("a line of JSON");
    assert_eq!((&line["span"]["trace_id"], &line["span"]["span_id"]), (&TRACE.into(), &span.id.into()), "{line:#}");
}

async fn what_is_no_trace_begins_one(client: &Client<'_>, collector: &Collector) {
    let zeros = "0".repeat(32);
    let wrong = format!("00-{zeros}-b7ad6b7169203331-01");
    let job = Job::new("wrong-trace").with("traceparent", &wrong).with("tracestate", "a=1").typed("application/json");
    let payload = json!({ "text": "a cat", "picture": { "steps": 0 } });
    let story = client.publish_and_follow(&job, "text", payload.to_string()).await;
    assert_eq!(story.finals(), ["failed"]);
    let span = collector.span(&job.id, "paint").await;
    assert!(span.trace != zeros && span.parent.is_empty() && span.failed, "{span:?}");
    assert_eq!(span.text("shanshui.outcome"), "rejected");
}

async fn nothing_is_told_of_a_trace_that_is_not_sampled(client: &Client<'_>, collector: &Collector) {
    let quiet = "1af7651916cd43dd8448eb211c80319c";
    let job = Job::new("unsampled").with("traceparent", &format!("00-{quiet}-b7ad6b7169203331-00"));
    let job = job.typed("application/json");
    let story = client.publish_and_follow(&job, "text", json!({ "text": "a", "picture": quick() }).to_string()).await;
    assert!(story.envelope("done")["traceparent"].as_str().expect("a header").ends_with("-00"));
    // One that is sampled, and comes later, is there.
    let after = Job::new("sampled").typed("application/json");
    client.publish_and_follow(&after, "text", json!({ "text": "a", "picture": quick() }).to_string()).await;
    collector.span(&after.id, "paint").await;
    assert!(collector.trace(quiet).is_empty());
}

fn quick() -> Value {
    json!({ "steps": 1, "count": 1, "width": 64, "height": 64 })
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_a_job_nothing() {
    let stack = Stack::start();
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("a bound port"));
    let pages = shanshui_tests::Pages::reserve();
    let mut command = stack.worker_command("transcribe", "ear");
    command.env("SHANSHUI_WHISPER", shanshui_tests::whisper("tiny.en")).env("SHANSHUI_HTTP", pages.address());
    let ear = Process::spawn("ear", command.env(ENDPOINT, &endpoint).env("OTEL_EXPORTER_OTLP_TIMEOUT", "300"));
    pages.ready().await;
    let client = stack.client().await;
    for _ in 0..3 {
        let job = Job::new("silent");
        let key = format!("audio/{}", job.id);
        client.put(&key, recording("cat.wav")).await;
        let payload = json!({ "audio": { "key": key }, "until": "transcript" }).to_string();
        let story = client.publish_and_follow(&job.typed("application/json"), "audio", payload).await;
        assert_eq!(story.finals(), ["done"]);
    }
    until("lost spans", async || (pages.metric("shanshui_spans_lost_total") > 0.0).then_some(())).await;
    ear.signal("TERM");
    assert!(ear.ends(PATIENCE).success(), "{}", ear.log());
}

#[test]
fn a_protocol_that_we_do_not_speak_is_refused_with_the_name_of_the_variable() {
    let mut command = Command::new(shanshui_tests::shanshui());
    command.arg("paint").arg("--picture-model").arg(shanshui_tests::picture_model()).env(ENDPOINT, "http://c:4317");
    let output = command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").output().expect("shanshui starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not allowed; allowed: http/json"), "{said}");
}

#[tokio::test]
async fn the_trace_of_a_request_to_the_gateway_goes_on() {
    let (door, client) = (crate::gateway::door(), crate::clients::stack().client().await);
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let job = json!({ "text": "a boat", "picture": quick() });
    let sent = door.post("/v1/jobs", &[("traceparent", &parent)], &job).is(202).json();
    let id = sent["id"].as_str().expect("a name");
    let story = client.follow(id).await;
    let own = story.envelope("done")["traceparent"].as_str().expect("a trace");
    assert!(own.contains(TRACE) && own != parent, "{own}");
    // Two headers that disagree are none.
    let twice = [("traceparent", parent.as_str()), ("traceparent", "00-1-2-03")];
    let sent = door.post("/v1/jobs", &twice, &job).is(202).json();
    let story = client.follow(sent["id"].as_str().expect("a name")).await;
    assert!(!story.envelope("done")["traceparent"].as_str().expect("a trace").contains(TRACE));
}

#[tokio::test]
async fn a_request_to_the_gateway_is_a_span_and_its_job_goes_on_below_it() {
    let (stack, collector) = (Stack::start(), Collector::start());
    let mut command = stack.command(&["gateway", "--gateway", "127.0.0.1:0"]);
    command.env(ENDPOINT, collector.endpoint()).env("OTEL_TRACES_SAMPLER", "sometimes");
    let gateway = Process::spawn("gateway", &mut command);
    let door = shanshui_tests::Door::of(&gateway);
    // As the specification has it: a warning, and the usual sampler.
    gateway.says("OTEL_TRACES_SAMPLER: sometimes is not allowed", PATIENCE);
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let job = json!({ "text": "a boat", "picture": quick() });
    let id = door.post("/v1/jobs", &[("traceparent", &parent)], &job).is(202).json()["id"].to_string();
    let id = id.trim_matches('"').to_owned();
    let sent = collector.span(&id, "send text").await;
    let served = until("the span of the request", async || {
        collector.trace(TRACE).into_iter().find(|span| span.name == "POST /v1/jobs")
    });
    let served = served.await;
    assert_eq!((served.kind, served.parent.as_str(), &sent.parent), (2, "b7ad6b7169203331", &served.id));
    assert_eq!((served.text("http.request.method"), served.text("http.route")), ("POST", "/v1/jobs"));
    assert_eq!((served.text("url.path"), served.text("url.scheme"), served.failed), ("/v1/jobs", "http", false));
    // What varies is no part of a name, and what a client does wrong is no failure of the server.
    for (path, status) in [(format!("/v1/jobs/{id}?signature=secret"), 200), ("/v1/jobs/none".to_owned(), 404)] {
        let trace = format!("{status:032x}");
        door.with("traceparent", &format!("00-{trace}-b7ad6b7169203331-01")).get(&path).is(status);
        let found = until("a span", async || collector.trace(&trace).pop()).await;
        assert_eq!((found.name.as_str(), found.failed), ("GET /v1/jobs/{id}", false));
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }
    // Not sampled by whoever asks: nothing is told.
    let quiet = "2af7651916cd43dd8448eb211c80319c";
    door.post("/v1/jobs", &[("traceparent", &format!("00-{quiet}-b7ad6b7169203331-00"))], &job).is(202);
    let later = format!("{:032x}", 7);
    door.with("traceparent", &format!("00-{later}-b7ad6b7169203331-01")).get("/v1/jobs/none").is(404);
    until("a later span", async || collector.trace(&later).pop()).await;
    assert!(collector.trace(quiet).is_empty());
}
