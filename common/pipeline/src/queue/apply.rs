//! `streams apply`: makes what is missing, and changes our own fields of what is there.

use anyhow::Context as _;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use serde_json::{Map, Value, json};

use super::Queue;
use super::declare::{Declared, advisories_consumer, intake_consumers, webhook_consumers};
use crate::config::StreamSettings;
use crate::step::Step;

/// What the server says of a stream or a consumer, every field of it: a newer server may know
/// fields that no library does, and they are an operator's to keep.
type Config = Map<String, Value>;

impl Queue {
    /// Makes or changes every stream and consumer; says what it did, one line each. With `dry` it
    /// changes nothing and says what it would do.
    pub async fn apply(&self, settings: &StreamSettings, dry: bool) -> anyhow::Result<Vec<String>> {
        for pool in &settings.pools {
            let known = self.steps.iter().any(|step| step.queue == pool.queue);
            let queues = || self.steps.iter().map(|step| step.queue).collect::<Vec<_>>().join(", ");
            anyhow::ensure!(known, "pool: {}/{} is not allowed; allowed queues: {}", pool.queue, pool.pool, queues());
        }
        let mut said = Vec::new();
        for declared in self.declared_streams(settings) {
            said.extend(self.apply_stream(declared, dry).await?);
        }
        for step in self.steps {
            said.extend(self.apply_consumers(step, settings, dry).await?);
        }
        said.extend(self.apply_consumer("ADVISORIES", advisories_consumer(), dry).await?);
        let webhooks = webhook_consumers(&self.names, settings);
        for (stream, declared) in intake_consumers(&self.names, settings).into_iter().chain(webhooks) {
            said.extend(self.apply_consumer(stream, declared, dry).await?);
        }
        Ok(said)
    }

    async fn apply_stream(&self, mut declared: Declared, dry: bool) -> anyhow::Result<Option<String>> {
        let name = declared.name.clone();
        let Some(have) = self.stream_config(&name).await? else {
            let whole: Config = declared.first.into_iter().chain(declared.own).collect();
            let whole = whole.into_iter().chain([("name".to_owned(), json!(name))]).collect::<Config>();
            let made = self.change(&format!("STREAM.CREATE.{name}"), json!(whole), dry).await;
            made.with_context(|| cannot_make(&name, &whole))?;
            return Ok(Some(format!("stream {name}: created")));
        };
        keep_subjects(&have, &mut declared.own);
        let changes = differences(&have, &declared.own);
        if changes.is_empty() {
            return Ok(None);
        }
        let whole: Config = have.into_iter().chain(declared.own).collect();
        let what = changes.join(", ");
        let changed = self.change(&format!("STREAM.UPDATE.{name}"), json!(whole), dry).await;
        changed.with_context(|| format!("stream {name} differs and the server refuses to change it: {what}"))?;
        Ok(Some(format!("stream {name}: changed {what}")))
    }

    async fn apply_consumers(&self, step: &Step, settings: &StreamSettings, dry: bool) -> anyhow::Result<Vec<String>> {
        let mut pools = self.pools(step).await.unwrap_or_default();
        let asked = settings.pools.iter().filter(|pool| pool.queue == step.queue).map(|pool| pool.pool.clone());
        pools.extend(asked);
        pools.sort();
        pools.dedup();
        let mut said = Vec::new();
        for declared in self.declared_consumers(step, &pools, settings) {
            said.extend(self.apply_consumer(&step.stream(), declared, dry).await?);
        }
        Ok(said)
    }

    async fn apply_consumer(&self, stream: &str, declared: Declared, dry: bool) -> anyhow::Result<Option<String>> {
        let (stream, name) = (self.names.stream(stream), declared.name);
        let have = self.consumer_config(&stream, &name).await?;
        let changes = have.as_ref().map(|have| differences(have, &declared.own));
        if changes.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let whole: Config = have.unwrap_or_default().into_iter().chain(declared.own).collect();
        let filter = whole.get("filter_subject").and_then(Value::as_str).unwrap_or_default();
        let dot = if filter.is_empty() { "" } else { "." };
        let subject = format!("CONSUMER.CREATE.{stream}.{name}{dot}{filter}");
        let asked = json!({ "stream_name": stream, "config": whole, "action": "" });
        let changed = self.change(&subject, asked, dry).await;
        changed.with_context(|| format!("cannot make or change consumer {name} on {stream}"))?;
        Ok(Some(match changes {
            Some(changes) => format!("consumer {name} on {stream}: changed {}", changes.join(", ")),
            None => format!("consumer {name} on {stream}: created"),
        }))
    }

    async fn change(&self, subject: &str, config: Value, dry: bool) -> anyhow::Result<()> {
        if dry {
            return Ok(());
        }
        let answer: Response<Value> = self.ask(subject, &config).await?;
        match answer {
            Response::Ok(_) => Ok(()),
            Response::Err { error } => Err(error.into()),
        }
    }

    /// The configuration of a stream, if there is one.
    pub(super) async fn stream_config(&self, name: &str) -> anyhow::Result<Option<Config>> {
        let info = self.info(&format!("STREAM.INFO.{name}"), ErrorCode::STREAM_NOT_FOUND).await;
        Ok(info.with_context(|| format!("cannot read stream {name}"))?.map(config_of))
    }

    /// The configuration of a consumer, if there is one.
    pub(super) async fn consumer_config(&self, stream: &str, name: &str) -> anyhow::Result<Option<Config>> {
        let info = self.info(&format!("CONSUMER.INFO.{stream}.{name}"), ErrorCode::CONSUMER_NOT_FOUND).await;
        Ok(info.with_context(|| format!("cannot read consumer {name} on {stream}"))?.map(config_of))
    }

    /// An answer of the JetStream API; none where the server says `missing`, or that the stream is.
    pub(super) async fn info(&self, subject: &str, missing: ErrorCode) -> anyhow::Result<Option<Value>> {
        match self.ask(subject, &json!({})).await? {
            Response::Ok(info) => Ok(Some(info)),
            Response::Err { error } if [missing, ErrorCode::STREAM_NOT_FOUND].contains(&error.error_code()) => Ok(None),
            Response::Err { error } => Err(error.into()),
        }
    }
}

/// The server's own words for too little room name neither the stream nor the size.
fn cannot_make(name: &str, whole: &Config) -> String {
    let mib = whole.get("max_bytes").and_then(Value::as_i64).unwrap_or(0) >> 20;
    format!(
        "cannot make stream {name}, for which the server sets {mib} MiB aside; if it has no room for them, \
         lower --queue-bytes or raise max_file_store in its configuration"
    )
}

fn config_of(mut info: Value) -> Config {
    match info["config"].take() {
        Value::Object(config) => config,
        _ => Config::new(),
    }
}

/// Pools that were made earlier stay, whether or not they are named again, and so do kinds of events
/// that a newer version keeps: subjects with one more word of their own.
fn keep_subjects(have: &Config, own: &mut Config) {
    let subjects = |config: &Config| config.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all = subjects(own);
    let ours = |tokens: &[&str]| {
        let known = all.iter().filter_map(Value::as_str).map(|subject| subject.split('.').collect::<Vec<_>>());
        known.into_iter().any(|known| tokens.len() == 4 && known.get(..2) == tokens.get(..2))
    };
    let keep = |subject: &&Value| {
        let tokens: Vec<&str> = subject.as_str().unwrap_or_default().split('.').collect();
        ours(&tokens) && tokens[2] == "*" && !matches!(tokens[3], "*" | ">") && !all.contains(subject)
    };
    let kept: Vec<Value> = subjects(have).iter().filter(keep).cloned().collect();
    all.extend(kept);
    let same = subjects(have);
    if all.len() == same.len() && all.iter().all(|subject| same.contains(subject)) {
        all = same;
    }
    own.insert("subjects".into(), all.into());
}

/// Our fields that have another value, one phrase each.
pub(super) fn differences(have: &Config, own: &Config) -> Vec<String> {
    let differs = |(field, wanted): (&String, &Value)| {
        let have = have.get(field).unwrap_or(&Value::Null);
        (!same(have, wanted)).then(|| format!("{field} from {have} to {wanted}"))
    };
    own.iter().filter_map(differs).collect()
}

/// The server leaves out what has its default, and may add fields inside.
fn same(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(field, value)| same(have.get(field).unwrap_or(&Value::Null), value))
        }
        (Value::Null, Value::Bool(false)) => true,
        (Value::Null, Value::Number(number)) => number.as_i64().is_some_and(|number| number <= 0),
        (Value::Number(have), Value::Number(wanted)) => {
            let limit = |number: &serde_json::Number| number.as_i64().map(|number| number.max(-1));
            have == wanted || limit(have) == limit(wanted)
        }
        _ => have == wanted,
    }
}
