//! `./dev bench pipeline`: how long jobs take through a pipeline, ours or one that does the least.
//!
//! `passage NATS_URL` reads lines `WHAT HOW COUNT FLYING` and answers each with a line of JSON. WHAT is `bare`
//! or `ours`, HOW the number of stages, FLYING how many jobs are under way at a time. Of ours the workers run
//! elsewhere; the bare ones are threads here, each with a connection of its own.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, AckKind, consumer, stream};
use async_nats::{HeaderMap, Subscriber};
use clap::Parser;
use futures::StreamExt;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Longest time in which nothing ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a bare stage makes of a job, as large as ours.
const PAYLOAD: &str = r#"{"id":"0000000000000000","text":"nothing","picture":{"count":1,"steps":1}}"#;

/// Time jobs through a pipeline
#[derive(Debug, Parser)]
#[command(name = "passage", max_term_width = 100)]
struct Arguments {
    /// The nats-server
    url: String,
}

/// Where jobs are put and where their end is told.
#[derive(Clone, Copy)]
struct Pipeline {
    subject: &'static str,
    body: &'static str,
    ends: &'static str,
}

impl Pipeline {
    fn of(what: &str, stages: &str) -> Result<Self> {
        let text = r#"{"text":"nothing"}"#;
        let audio = r#"{"audio":{"bytes":"AAAA"}}"#;
        Ok(match (what, stages) {
            ("bare", "1") => Self { subject: "bare.2", body: PAYLOAD, ends: "bare.end.*" },
            ("bare", "2") => Self { subject: "bare.1", body: PAYLOAD, ends: "bare.end.*" },
            ("ours", "1") => Self { subject: "shanshui.text.default", body: text, ends: "shanshui.events.*.done" },
            ("ours", "2") => Self { subject: "shanshui.audio.default", body: audio, ends: "shanshui.events.*.done" },
            _ => return Err(format!("{what} {stages} is not allowed; allowed: bare or ours, 1 or 2").into()),
        })
    }
}

/// Publishes jobs and hears their ends.
struct Sender {
    queue: jetstream::Context,
    ends: Subscriber,
    pipeline: Pipeline,
    begun: HashMap<String, Instant>,
    seconds: Vec<f64>,
}

impl Sender {
    async fn new(client: &async_nats::Client, pipeline: Pipeline) -> Result<Self> {
        let ends = client.subscribe(pipeline.ends).await?;
        client.flush().await?;
        let queue = jetstream::new(client.clone());
        Ok(Self { queue, ends, pipeline, begun: HashMap::new(), seconds: Vec::new() })
    }

    async fn send(&mut self, job: String) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Shanshui-Job", job.as_str());
        self.begun.insert(job, Instant::now());
        let sent = self.queue.publish_with_headers(self.pipeline.subject, headers, self.pipeline.body.into());
        let ack = sent.await?;
        // One at a time: as a sender does that wants to know. Many: as many senders do, beside each other.
        if self.begun.len() == 1 {
            ack.await?;
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<()> {
        loop {
            let end = tokio::time::timeout(PATIENCE, self.ends.next()).await?.ok_or("the subscription has ended")?;
            let job = end.subject.split('.').nth(2).unwrap_or_default();
            if let Some(begun) = self.begun.remove(job) {
                self.seconds.push(begun.elapsed().as_secs_f64());
                return Ok(());
            }
        }
    }

    /// All of `count` jobs, `flying` at a time: seconds of each, and of all.
    async fn run(mut self, count: usize, flying: usize) -> Result<serde_json::Value> {
        let (began, run) = (Instant::now(), format!("{:x}", rand::random::<u64>()));
        for number in 0..count {
            self.send(format!("{run}-{number}")).await?;
            while self.begun.len() >= flying {
                self.hear().await?;
            }
        }
        while !self.begun.is_empty() {
            self.hear().await?;
        }
        Ok(json!({ "seconds": self.seconds, "all": began.elapsed().as_secs_f64() }))
    }
}

/// A stage that does the least with the same promise: pulls one job, stores what follows, and acknowledges when
/// that is stored.
async fn stage(url: String, number: usize) -> Result<()> {
    let queue = jetstream::new(async_nats::connect(url).await?);
    let settings = consumer::pull::Config { durable_name: Some("worker".to_owned()), ..Default::default() };
    let consumer = queue.get_stream(format!("BARE{number}")).await?.create_consumer(settings).await?;
    loop {
        let mut batch = consumer.batch().max_messages(1).expires(Duration::from_secs(30)).messages().await?;
        while let Some(message) = batch.next().await {
            let message = message?;
            let job = message.headers.as_ref().and_then(|headers| headers.get("Shanshui-Job")).ok_or("no name")?;
            let subject = if number == 1 { "bare.2".to_owned() } else { format!("bare.end.{job}") };
            let mut headers = HeaderMap::new();
            headers.insert("Shanshui-Job", job.as_str());
            headers.insert("Nats-Msg-Id", format!("{job}/{number}"));
            queue.publish_with_headers(subject, headers, message.payload.clone()).await?.await?;
            message.double_ack_with(AckKind::Ack).await?;
        }
    }
}

async fn make_streams(client: &async_nats::Client) -> Result<()> {
    let queue = jetstream::new(client.clone());
    for (name, subject, retention) in [
        ("BARE1", "bare.1", stream::RetentionPolicy::WorkQueue),
        ("BARE2", "bare.2", stream::RetentionPolicy::WorkQueue),
        ("BARE_END", "bare.end.>", stream::RetentionPolicy::Limits),
    ] {
        let subjects = vec![subject.to_owned()];
        let config = stream::Config { name: name.to_owned(), subjects, retention, ..Default::default() };
        queue.get_or_create_stream(config).await?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let Arguments { url } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(async_nats::connect(&url))?;
    runtime.block_on(make_streams(&client))?;
    for number in [1, 2] {
        let url = url.clone();
        let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            own.block_on(stage(url, number)).inspect_err(|error| eprintln!("stage {number}: {error}"))
        });
    }
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        let [what, stages, count, flying] = words[..] else { return Err(format!("no such task: {line}").into()) };
        let pipeline = Pipeline::of(what, stages)?;
        let (count, flying) = (count.parse()?, flying.parse()?);
        let answer = runtime.block_on(async { Sender::new(&client, pipeline).await?.run(count, flying).await })?;
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}
