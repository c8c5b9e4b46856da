//! Streams and consumers: made by one idempotent step, checked by every worker.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType};
use clap::Args;

use super::Queue;

/// Publish retries may come late: longer than any client keeps retrying.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(15 * 60);
/// How long the story of a job is kept.
const EVENTS_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The queues and the stages that take from them.
pub const STAGES: [(&str, &str, &str); 2] = [("AUDIO", "audio", "transcribe"), ("TEXT", "text", "paint")];

/// Between two looks at a queue that is not usable.
const AGAIN: Duration = Duration::from_secs(1);

/// A stream or consumer is missing or wrong: waiting does not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}; run `shanshui streams apply`")]
pub struct Unusable(String);

/// The durable consumer on `ADVISORIES`.
pub const RECONCILE: &str = "reconcile";

/// What `streams apply` may be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Streams")]
pub struct StreamSettings {
    /// Copies of every stream: 3 in a cluster, 1 on a single server
    #[arg(long, env = "SHANSHUI_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,
    /// Most bytes that wait in each queue before publishers are refused
    #[arg(long, env = "SHANSHUI_QUEUE_BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(i64).range(1 << 20..))]
    pub queue_bytes: i64,
    /// Seconds until an unacknowledged delivery goes to another worker
    #[arg(long, env = "SHANSHUI_ACK_WAIT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub ack_wait_seconds: u64,
    /// Deliveries of one message, counted and uncounted attempts together; far above --attempts
    #[arg(long, env = "SHANSHUI_MAX_DELIVER", default_value_t = 100, value_parser = clap::value_parser!(i64).range(2..=100_000))]
    pub max_deliver: i64,
    /// Jobs in work at a time over all workers of a stage
    #[arg(long, env = "SHANSHUI_MAX_ACK_PENDING", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..))]
    pub max_ack_pending: i64,
}

impl Queue {
    /// Makes or updates every stream and consumer; says what it did, one line each.
    pub async fn apply(&self, settings: &StreamSettings) -> anyhow::Result<Vec<String>> {
        let mut said = Vec::new();
        for config in self.streams(settings) {
            said.extend(self.apply_stream(config).await?);
        }
        for (stream, _, stage) in STAGES {
            said.extend(self.apply_consumer(stream, settings.consumer(stage)).await?);
        }
        said.extend(self.apply_consumer("ADVISORIES", advisories_consumer()).await?);
        Ok(said)
    }

    /// Whether what a worker of `stage` needs is there as it must be; the error names the field.
    pub async fn check(&self, stage: &str) -> anyhow::Result<()> {
        for name in ["AUDIO", "TEXT", "EVENTS", "DEAD"] {
            self.check_stream(&self.names.stream(name)).await?;
        }
        let stream = self.stream_of(stage)?;
        let consumer = match self.context.get_consumer_from_stream::<pull::Config, _, _>(stage, &stream).await {
            Ok(consumer) => consumer,
            Err(error) if is_gone(error.kind()) => unusable(format!("consumer {stage} on {stream} is missing"))?,
            Err(error) => return Err(error).context(format!("consumer {stage} on {stream} is out of reach")),
        };
        let config = &consumer.cached_info().config;
        if config.ack_policy != AckPolicy::Explicit || config.max_deliver == 1 {
            unusable(format!("consumer {stage}: ack_policy must be explicit and max_deliver above 1"))?;
        }
        Ok(())
    }

    async fn check_stream(&self, name: &str) -> anyhow::Result<()> {
        let stream = match self.context.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) if is_missing(error.kind()) => unusable(format!("stream {name} is missing"))?,
            Err(error) => return Err(error).context(format!("stream {name} is out of reach")),
        };
        let have = &stream.cached_info().config;
        let wanted = self.streams(&StreamSettings::default_for_check(have.num_replicas));
        let wanted = wanted.iter().find(|config| config.name == name);
        match wanted.and_then(|wanted| essential(have, wanted)) {
            Some(difference) => unusable(format!("stream {name}: {difference}")),
            None => Ok(()),
        }
    }

    /// Waits until everything is there as it must be: a server that starts, or elects a leader,
    /// answers late or not at all.
    ///
    /// # Errors
    /// [`Unusable`], seen twice: such a server may also not know yet what it has. And a client that is gone.
    pub async fn wait_usable(&self, stage: &str) -> anyhow::Result<()> {
        let mut before = false;
        loop {
            self.wait_connected().await;
            anyhow::ensure!(!self.is_gone(), "the NATS client is gone");
            match self.check(stage).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is::<Unusable>() && before => return Err(error),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the queue is not usable yet");
                    before = error.is::<Unusable>();
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// The stream that a stage takes its jobs from.
    pub(crate) fn stream_of(&self, stage: &str) -> anyhow::Result<String> {
        let found = STAGES.iter().find(|(_, _, name)| *name == stage);
        let (stream, _, _) = found.with_context(|| format!("no queue for the stage {stage}"))?;
        Ok(self.names.stream(stream))
    }

    async fn apply_stream(&self, wanted: Config) -> anyhow::Result<Option<String>> {
        let name = wanted.name.clone();
        let have = match self.context.get_stream(&name).await {
            Ok(stream) => stream.cached_info().config.clone(),
            Err(error) if is_missing(error.kind()) => {
                self.context.create_stream(wanted).await.with_context(|| format!("cannot make stream {name}"))?;
                return Ok(Some(format!("stream {name}: made")));
            }
            Err(error) => return Err(error).context(format!("cannot read stream {name}")),
        };
        let differences = differences(&have, &wanted);
        if differences.is_empty() {
            return Ok(None);
        }
        let what = differences.join(", ");
        let updated = self.context.update_stream(wanted).await;
        updated.with_context(|| format!("stream {name} differs and the server refuses to change it: {what}"))?;
        Ok(Some(format!("stream {name}: changed {what}")))
    }

    async fn apply_consumer(&self, stream: &str, wanted: pull::Config) -> anyhow::Result<Option<String>> {
        let stream = self.names.stream(stream);
        let stage = &wanted.durable_name.clone().unwrap_or_default();
        let have = self.context.get_consumer_from_stream::<pull::Config, _, _>(stage, &stream).await;
        let known = have.as_ref().ok().map(|consumer| consumer.cached_info().config.clone());
        let same = known.as_ref().is_some_and(|have| {
            (have.ack_wait, have.max_deliver, have.max_ack_pending)
                == (wanted.ack_wait, wanted.max_deliver, wanted.max_ack_pending)
        });
        if same {
            return Ok(None);
        }
        self.context
            .create_consumer_on_stream(wanted, &stream)
            .await
            .with_context(|| format!("cannot make or change consumer {stage} on {stream}"))?;
        let verb = if known.is_some() { "changed" } else { "made" };
        Ok(Some(format!("consumer {stage} on {stream}: {verb}")))
    }

    fn streams(&self, settings: &StreamSettings) -> Vec<Config> {
        let names = &self.names;
        let base = |name: &str, subjects: Vec<String>| Config {
            name: names.stream(name),
            subjects,
            storage: StorageType::File,
            num_replicas: usize::from(settings.replicas),
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            ..Config::default()
        };
        let queue = |name: &str, kind: &str| Config {
            retention: RetentionPolicy::WorkQueue,
            // The default, DiscardOld, would silently delete jobs that nobody has taken yet.
            discard: DiscardPolicy::New,
            max_bytes: settings.queue_bytes,
            ..base(name, vec![names.job(kind, "*")])
        };
        let advisories = ["MAX_DELIVERIES", "MSG_TERMINATED"]
            .map(|kind| {
                STAGES.map(|(stream, ..)| format!("$JS.EVENT.ADVISORY.CONSUMER.{kind}.{}.>", names.stream(stream)))
            })
            .concat();
        let cancel = names.cancel("*");
        let mut all: Vec<Config> = STAGES.iter().map(|(stream, kind, _)| queue(stream, kind)).collect();
        all.push(Config { max_age: EVENTS_AGE, ..base("EVENTS", vec![names.all("events"), cancel]) });
        // Whoever limits it must not lose the oldest dead jobs by it.
        all.push(Config { discard: DiscardPolicy::New, ..base("DEAD", vec![names.dead("*")]) });
        all.push(Config { max_age: EVENTS_AGE, ..base("ADVISORIES", advisories) });
        all
    }
}

impl StreamSettings {
    fn consumer(&self, stage: &str) -> pull::Config {
        pull::Config {
            durable_name: Some(stage.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(self.ack_wait_seconds),
            max_deliver: self.max_deliver,
            max_ack_pending: self.max_ack_pending,
            ..pull::Config::default()
        }
    }

    fn default_for_check(replicas: usize) -> Self {
        let replicas = u8::try_from(replicas).unwrap_or(1);
        Self { replicas, ..Self::default() }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { replicas: 1, queue_bytes: 1 << 30, ack_wait_seconds: 30, max_deliver: 100, max_ack_pending: 1000 }
    }
}

/// An advisory comes again for ever: nobody else would tell of that job.
fn advisories_consumer() -> pull::Config {
    pull::Config {
        durable_name: Some(RECONCILE.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(30),
        max_deliver: -1,
        max_ack_pending: 1000,
        ..pull::Config::default()
    }
}

fn unusable<T>(what: String) -> anyhow::Result<T> {
    Err(Unusable(what).into())
}

fn is_gone(kind: ConsumerErrorKind) -> bool {
    use async_nats::jetstream::ErrorCode;
    matches!(kind, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

fn is_missing(kind: GetStreamErrorKind) -> bool {
    use async_nats::jetstream::ErrorCode;
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What no worker can work without.
fn essential(have: &Config, wanted: &Config) -> Option<String> {
    let mut all = differences(have, wanted).into_iter();
    all.find(|line| ["retention", "discard", "subjects"].iter().any(|field| line.starts_with(field)))
}

fn differences(have: &Config, wanted: &Config) -> Vec<String> {
    let mut said = Vec::new();
    let mut compare = |field: &str, have: String, wanted: String| {
        if have != wanted {
            said.push(format!("{field} from {have} to {wanted}"));
        }
    };
    compare("subjects", format!("{:?}", have.subjects), format!("{:?}", wanted.subjects));
    compare("retention", format!("{:?}", have.retention), format!("{:?}", wanted.retention));
    compare("discard", format!("{:?}", have.discard), format!("{:?}", wanted.discard));
    compare("storage", format!("{:?}", have.storage), format!("{:?}", wanted.storage));
    compare("num_replicas", have.num_replicas.to_string(), wanted.num_replicas.to_string());
    compare("max_age", format!("{:?}", have.max_age), format!("{:?}", wanted.max_age));
    compare("duplicate_window", format!("{:?}", have.duplicate_window), format!("{:?}", wanted.duplicate_window));
    let limit = |bytes: i64| if bytes <= 0 { "unlimited".to_owned() } else { bytes.to_string() };
    compare("max_bytes", limit(have.max_bytes), limit(wanted.max_bytes));
    said
}
