//! A client that knows the contract: subjects, JSON, object keys.

use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{self, OrderedConfig};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;

use super::stack::Stack;
use super::steps::steps;
use super::story::{FLEETING, Story};
use super::wait::{PATIENCE, until};

/// Connections to the queue and the store of one stack.
pub struct Client<'a> {
    stack: &'a Stack,
    queue: jetstream::Context,
    nats: async_nats::Client,
    store: aws_sdk_s3::Client,
}

/// A job that a client publishes.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub id: String,
    headers: HeaderMap,
}

/// A job in DEAD.
#[derive(Debug)]
pub struct Dead {
    /// Why it is there.
    pub reason: String,
    /// Attempts made.
    pub attempts: String,
    /// Worker that gave up.
    pub worker: String,
    /// The subject it came in on.
    pub subject: String,
    /// What was published.
    pub payload: Bytes,
}

impl Job {
    /// A job with a name that no other has in this run.
    pub fn new(what: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self::named(format!("{what}-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// A job with this name.
    pub fn named(id: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("Shanshui-Job", id.as_str());
        Self { id, headers }
    }

    /// Says what the payload is.
    pub fn typed(self, content_type: &str) -> Self {
        self.with("Content-Type", content_type)
    }

    /// With a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl<'a> Client<'a> {
    /// Connects to a stack.
    pub async fn connect(stack: &'a Stack) -> Self {
        let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
        Self { stack, queue: jetstream::new(nats.clone()), nats, store: stack.objects().client() }
    }

    /// Publishes a payload for a job and waits until the stream has it.
    pub async fn publish(&self, job: &Job, queue: &str, payload: impl Into<Bytes>) -> u64 {
        let subject = format!("shanshui.{queue}.default");
        let sent = self.queue.publish_with_headers(subject, job.headers.clone(), payload.into()).await;
        sent.expect("a payload of allowed size").await.expect("the stream takes the job").sequence
    }

    /// Publishes as `nats pub` does: no header, no name.
    pub async fn publish_plainly(&self, queue: &str, payload: impl Into<Bytes>) -> u64 {
        let sent = self.queue.publish(format!("shanshui.{queue}.default"), payload.into()).await;
        sent.expect("a payload of allowed size").await.expect("the stream takes the job").sequence
    }

    /// Tells an intake something, as a store does.
    pub async fn tell(&self, intake: &str, event: impl Into<Bytes>) {
        let sent = self.queue.publish(format!("shanshui.intake.{intake}"), event.into()).await;
        sent.expect("an event of allowed size").await.expect("the stream takes the event");
    }

    /// Messages that lie in a stream.
    pub async fn lying(&self, stream: &str) -> u64 {
        self.queue.get_stream(stream).await.expect("the stream is there").cached_info().state.messages
    }

    /// Publishes, and follows the job to its end.
    pub async fn publish_and_follow(&self, job: &Job, queue: &str, payload: impl Into<Bytes>) -> Story {
        self.publish(job, queue, payload).await;
        self.follow(&job.id).await
    }

    /// Takes a job back, as any client does.
    pub async fn cancel(&self, job: &str) {
        let sent = self.queue.publish(format!("shanshui.cancel.{job}"), Bytes::new()).await;
        sent.expect("an empty payload").await.expect("the stream takes the cancel");
    }

    /// All events of a job up to its end.
    pub async fn follow(&self, job: &str) -> Story {
        self.read(job, Story::is_over).await
    }

    /// All events of a job up to one of this kind for this stage.
    pub async fn follow_to(&self, job: &str, kind: &str, stage: &str) -> Story {
        let there = |story: &Story| story.all(kind).iter().any(|data| data["stage"] == stage);
        self.read(job, |story| there(story) || story.is_over()).await
    }

    /// All events of a job from the first one until there are enough.
    pub async fn read(&self, job: &str, enough: impl Fn(&Story) -> bool) -> Story {
        let filter_subject = format!("shanshui.events.{job}.>");
        // The stream keeps neither progress nor previews.
        let all = self.nats.subscribe(format!("shanshui.events.{job}.*")).await.expect("a subscription");
        let passing = |message: &Message| FLEETING.iter().any(|kind| message.subject.ends_with(kind));
        let mut fleeting = all.filter(|message| ready(passing(message)));
        let config = OrderedConfig { deliver_policy: DeliverPolicy::All, filter_subject, ..OrderedConfig::default() };
        let events = self.queue.get_stream_no_info("EVENTS").await.expect("a stream of events");
        let mut messages = events.create_consumer(config).await.expect("a reader").messages().await.expect("messages");
        let mut story = Story::default();
        let reading = async {
            while !enough(&story) {
                let (subject, payload) = tokio::select! {
                    message = messages.next() => {
                        let message = message.expect("an endless stream").expect("a message");
                        (message.subject.clone(), message.payload.clone())
                    }
                    message = fleeting.next() => {
                        let message = message.expect("an endless subscription");
                        (message.subject, message.payload)
                    }
                };
                story.add(&subject, job, &payload);
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "job {job} does not end; so far: {:#?}", story.told());
        story
    }

    /// Waits until no message of a stage waits or is in work, then reads all events of a job:
    /// nothing can be added to them any more.
    pub async fn whole_story(&self, job: &str) -> Story {
        for step in steps() {
            let empty = async || (self.waiting(&step.stream, &step.stage).await == 0).then_some(());
            until("an empty queue", empty).await;
        }
        let events = self.queue.get_stream("EVENTS").await.expect("a stream of events");
        let filter = format!("shanshui.events.{job}.>");
        let subjects = events.info_with_subjects(filter).await.expect("the subjects");
        let count: usize = subjects.map(|subject| subject.expect("a subject").1).fold(0, async |a, b| a + b).await;
        self.read(job, |story| story.told().len() >= count).await
    }

    /// Messages of a stage's default lane that wait or are in work.
    pub async fn waiting(&self, stream: &str, stage: &str) -> u64 {
        let consumer = self.queue.get_consumer_from_stream::<pull::Config, _, _>(stage, stream).await;
        let info = consumer.expect("the stage's consumer");
        let info = info.cached_info();
        info.num_pending + info.num_ack_pending as u64
    }

    /// Messages of a stage that nobody has taken yet.
    pub async fn untaken(&self, stream: &str, stage: &str) -> u64 {
        let consumer = self.queue.get_consumer_from_stream::<pull::Config, _, _>(stage, stream).await;
        consumer.expect("the stage's consumer").cached_info().num_pending
    }

    /// Deletes a message, as only a careless hand does.
    pub async fn delete(&self, stream: &str, place: u64) {
        let stream = self.queue.get_stream(stream).await.expect("the stream is there");
        stream.delete_message(place).await.expect("the message is there");
    }

    /// A job's entry in DEAD, if it has one.
    pub async fn dead(&self, job: &str) -> Option<Dead> {
        let stream = self.queue.get_stream("DEAD").await.expect("a stream of the dead");
        let count = stream.cached_info().state.messages as usize;
        let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
        let messages = stream.create_consumer(config).await.expect("a reader").messages().await.expect("messages");
        let mut messages = messages.take(count);
        while let Some(message) = messages.next().await {
            let message = message.expect("a message");
            let headers = message.headers.clone().unwrap_or_default();
            let header = |name: &str| headers.get(name).map(|value| value.to_string()).unwrap_or_default();
            if header("Shanshui-Job") == job {
                return Some(Dead {
                    reason: header("Shanshui-Reason"),
                    attempts: header("Shanshui-Attempts"),
                    worker: header("Shanshui-Worker"),
                    subject: header("Shanshui-Subject"),
                    payload: message.payload.clone(),
                });
            }
        }
        None
    }

    /// Puts an object into the bucket.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let put = self.store.put_object().bucket(super::objects::BUCKET).key(key).body(bytes.into().into());
        put.send().await.expect("the store takes the object");
    }

    /// An object of the bucket.
    pub async fn object(&self, key: &str) -> Bytes {
        let get = self.store.get_object().bucket(super::objects::BUCKET).key(key).send().await;
        let object = get.unwrap_or_else(|error| panic!("{key}: {error:?}"));
        object.body.collect().await.expect("a whole body").into_bytes()
    }

    /// Whether there is such an object.
    pub async fn has(&self, key: &str) -> bool {
        self.store.head_object().bucket(super::objects::BUCKET).key(key).send().await.is_ok()
    }

    /// A JSON object of the bucket.
    pub async fn json(&self, key: &str) -> Value {
        serde_json::from_slice(&self.object(key).await).expect("JSON")
    }

    /// Keys below `prefix`, in order.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let list = self.store.list_objects_v2().bucket(super::objects::BUCKET).prefix(prefix).send().await;
        let list = list.expect("a list");
        list.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    }

    /// The pictures of a job as its events name them, in order of their index.
    pub async fn pictures(&self, story: &Story) -> Vec<Bytes> {
        let mut pictures = Vec::new();
        for picture in story.all("picture") {
            pictures.push(self.object(picture["key"].as_str().expect("a key")).await);
        }
        pictures
    }

    /// The name of the job that a message of TEXT became: its place in the stream ends it.
    pub async fn name_of(&self, sequence: u64) -> String {
        let events = self.queue.get_stream("EVENTS").await.expect("a stream of events");
        until("an event", async || {
            let subjects = events.info_with_subjects("shanshui.events.*.accepted").await.expect("the subjects");
            let jobs = subjects.map(|subject| subject.expect("a subject").0.split('.').nth(2).map(str::to_owned));
            let mut jobs = jobs.filter_map(std::future::ready).boxed();
            while let Some(job) = jobs.next().await {
                // Names of 12 digits and a place are those that are given here.
                if job.strip_suffix(&format!("-{sequence}")).is_some_and(|digits| digits.len() == 12) {
                    return Some(job);
                }
            }
            None
        })
        .await
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        self.stack
    }
}
