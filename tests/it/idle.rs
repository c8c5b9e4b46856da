//! What a worker costs that has nothing to do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use serde_json::{Value, json};
use shanshui_tests::chaos::Cluster;
use shanshui_tests::{Job, Nats, PATIENCE, Pages, Process, Stack, picture_model, scratch, until};

/// More than two heartbeats of a wait, and more than two looks of every kind that comes often.
const QUIET: Duration = Duration::from_secs(22);

/// The page of the server's monitor that tells of its connections.
fn connections(monitor: &str) -> Value {
    let mut stream = TcpStream::connect(monitor).expect("the monitor answers");
    write!(stream, "GET /connz HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

/// Messages that the worker has published so far: requests are nothing else to the server.
fn requests(monitor: &str) -> u64 {
    let page = connections(monitor);
    let own = page["connections"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "shanshui-paint"));
    own.expect("the worker's connection")["in_msgs"].as_u64().expect("a number")
}

#[tokio::test]
async fn an_idle_worker_asks_nats_once_in_ten_seconds_and_takes_a_job_at_once() {
    let folder = scratch();
    let store = folder.path().join("nats");
    let place = store.display();
    let text = format!("listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\njetstream {{ store_dir: \"{place}\" }}\n");
    let nats = Nats::with_config(&store, &text);
    let said = nats.process().says("Starting http monitor on", PATIENCE);
    let monitor = said.rsplit(' ').next().expect("an address").to_owned();
    let stack = Stack::on_queue(&nats.url(), &[]);
    let pages = Pages::reserve();
    let mut command = stack.command(&["paint"]);
    command.env("SHANSHUI_PICTURE_MODEL", picture_model()).env("SHANSHUI_HTTP", pages.address());
    let worker = Process::spawn("paint", &mut command);
    worker.says("taking jobs", PATIENCE);
    pages.ready().await;
    // Until its first wait has begun.
    until("a worker at rest", async || {
        let before = requests(&monitor);
        tokio::time::sleep(Duration::from_secs(2)).await;
        (requests(&monitor) == before).then_some(())
    })
    .await;
    let (asked, busy) = (requests(&monitor), pages.metric("process_cpu_seconds_total"));
    tokio::time::sleep(QUIET).await;
    let (asked, busy) = (requests(&monitor) - asked, pages.metric("process_cpu_seconds_total") - busy);
    assert!(asked <= QUIET.as_secs() / 10, "{asked} requests in {QUIET:?}");
    assert!(busy < 0.2, "{busy} s of CPU in {QUIET:?}");
    // A client that has been sent heartbeats is still woken by a job.
    let (client, job) = (stack.client().await, Job::new("sudden").typed("application/json"));
    let payload = json!({ "text": "a cat", "picture": { "steps": 1, "count": 1, "width": 64, "height": 64 } });
    let sent = Instant::now();
    client.publish(&job, "text", payload.to_string()).await;
    client.follow_to(&job.id, "started", "paint").await;
    assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    // And a drain does not wait for the end of the wait.
    client.follow(&job.id).await;
    let told = Instant::now();
    worker.signal("TERM");
    assert!(worker.ends(PATIENCE).success(), "{}", worker.log());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
}

/// The server that leads the consumer of the lane `default`, by its number.
async fn leader(queue: &jetstream::Context) -> Option<usize> {
    let consumer = queue.get_consumer_from_stream::<pull::Config, _, _>("paint", "TEXT").await.ok()?;
    consumer.cached_info().cluster.as_ref()?.leader.as_ref()?.strip_prefix('n')?.parse().ok()
}

#[tokio::test]
async fn an_idle_worker_whose_consumer_lost_its_leader_is_not_deaf_until_the_end_of_its_wait() {
    let mut cluster = Cluster::start();
    let stack = Stack::on_queue(&cluster.urls(), &["--replicas", "3"]);
    let urls: Vec<String> = cluster.urls().split(',').map(str::to_owned).collect();
    let queue = jetstream::new(async_nats::connect(&urls).await.expect("a server"));
    let leads = until("a leader", async || leader(&queue).await).await;
    // The worker's own connection is to another server, and stays.
    let others: Vec<String> =
        urls.iter().enumerate().filter(|(at, _)| *at != leads).map(|(_, url)| url.clone()).collect();
    let mut command = stack.command(&["paint"]);
    command.env("SHANSHUI_PICTURE_MODEL", picture_model()).env("SHANSHUI_NATS_URL", others.join(","));
    let worker = Process::spawn("paint", &mut command);
    worker.says("taking jobs", PATIENCE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.kill(leads);
    let queue = jetstream::new(async_nats::connect(&others).await.expect("a server"));
    until("another leader", async || leader(&queue).await.filter(|leader| *leader != leads)).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Shanshui-Job", "orphan");
    let payload = json!({ "text": "a cat", "picture": { "steps": 1, "count": 1 } }).to_string();
    until("a stream that takes jobs", async || {
        let sent = queue.publish_with_headers("shanshui.text.default", headers.clone(), payload.clone().into()).await;
        sent.ok()?.await.ok()
    })
    .await;
    let sent = Instant::now();
    let events = queue.get_stream("EVENTS").await.expect("a stream of events");
    until("a worker that has begun", async || {
        events.get_last_raw_message_by_subject("shanshui.events.orphan.started").await.ok()
    })
    .await;
    // Silence counts as such after 25 s, and is looked for every 5 s; the wait itself lasts two minutes.
    assert!(sent.elapsed() < Duration::from_secs(45), "{:?}: {}", sent.elapsed(), worker.log());
}
