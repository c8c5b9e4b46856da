//! Whether the streams and consumers are as a worker needs them.

use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::ErrorCode;
use serde_json::{Map, Value, json};

use super::Queue;
use super::apply::differences;
use super::declare::{INTAKE, WEBHOOKS};
use crate::causes::causes;
use crate::config::StreamSettings;
use crate::names;
use crate::step::Step;

/// What JetStream tells of streams begins with this.
pub(super) const CHANGES: &str = "$JS.EVENT.ADVISORY.STREAM";
/// Between two looks at a queue that is not usable.
const AGAIN: Duration = Duration::from_secs(1);
/// Fields without which jobs are lost or not found.
const ESSENTIAL: [&str; 4] = ["retention", "discard", "subjects", "subject_transform"];
/// Limits that delete, or refuse, accepted jobs when they are set on a queue.
const LOSING: [&str; 3] = ["max_age", "max_msgs", "max_msgs_per_subject"];

/// A stream or consumer is missing or wrong: waiting does not help.
#[derive(Debug, thiserror::Error)]
#[error("{wrong}; run `shanshui streams apply{flags}`")]
pub struct Unusable {
    wrong: String,
    flags: String,
}

impl Queue {
    /// Whether what a worker of `stage` needs is there as it must be; the error names the field.
    pub async fn check(&self, stage: &str, pools: &[String]) -> anyhow::Result<()> {
        let step = self.step(stage)?;
        let streams = self.declared_streams(&StreamSettings::default()).into_iter();
        // No stage needs what buckets tell, or what receivers are told.
        let of_others = [INTAKE, WEBHOOKS.0].map(|name| self.names.stream(name));
        for declared in streams.filter(|declared| !of_others.contains(&declared.name)) {
            let wrong = self.wrong_with_stream(&declared.name, &declared.own).await?;
            wrong.map_or(Ok(()), |wrong| Err(Unusable { wrong, flags: String::new() }))?;
        }
        let stream = self.names.stream(&step.stream());
        for pool in pools {
            for (name, _) in names::consumers(stage, pool) {
                let wrong = self.wrong_with_consumer(&stream, &name).await?;
                wrong.map_or(Ok(()), |wrong| Err(Unusable { wrong, flags: pool_flag(step, pool) }))?;
            }
        }
        Ok(())
    }

    /// Says that somebody has changed, made or deleted a stream: the server tells it unasked.
    pub(crate) async fn changes(&self) -> anyhow::Result<Subscriber> {
        Ok(self.client.subscribe(format!("{CHANGES}.*.*")).await?)
    }

    /// All that is wrong, one line each, also what only costs jobs one day: for people.
    pub async fn examine(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for declared in self.declared_streams(&StreamSettings::default()) {
            wrong.extend(self.wrong_with_stream(&declared.name, &declared.own).await?);
        }
        for step in self.steps {
            wrong.extend(self.wrong_with_consumers(step).await?);
        }
        Ok(wrong)
    }

    async fn wrong_with_stream(&self, name: &str, own: &Map<String, Value>) -> anyhow::Result<Option<String>> {
        let Some(have) = self.stream_config(name).await? else {
            return Ok(Some(format!("stream {name} is missing")));
        };
        let is_queue = own["retention"] == "workqueue";
        let mut needed: Map<_, _> = own.clone();
        needed.retain(|field, _| ESSENTIAL.contains(&field.as_str()));
        // An operator may add pools, and a newer version may keep more kinds of events.
        let (there, all) = (have.get("subjects").cloned().unwrap_or_default(), needed["subjects"].clone());
        let has = |subject: &Value| there.as_array().is_some_and(|there| there.contains(subject));
        if all.as_array().into_iter().flatten().all(has) {
            needed.remove("subjects");
        }
        let differing = differences(&have, &needed);
        let first = (!differing.is_empty()).then(|| differing.join(", "));
        // With this, a lane that is full refuses new jobs, and keeps those that it has.
        let refuses = have.get("discard_new_per_subject") == Some(&json!(true));
        let loses = |field: &str| !(refuses && field == "max_msgs_per_subject") && limits(have.get(field));
        let losing = || LOSING.iter().find(|field| is_queue && loses(field));
        let losing = || {
            losing().map(|field| {
                format!("{field} is {}, which deletes or refuses accepted jobs; remove this limit", have[*field])
            })
        };
        let copied =
            ["mirror", "sources"].iter().find(|field| is_queue && have.get(**field).is_some_and(|it| !it.is_null()));
        let copied = || copied.map(|field| format!("{field} is set, which copies jobs in from another stream"));
        Ok(first.or_else(losing).or_else(copied).map(|wrong| format!("stream {name}: {wrong}")))
    }

    async fn wrong_with_consumer(&self, stream: &str, name: &str) -> anyhow::Result<Option<String>> {
        let Some(config) = self.consumer_config(stream, name).await? else {
            return Ok(Some(format!("consumer {name} on {stream} is missing")));
        };
        let once = config.get("max_deliver") == Some(&json!(1));
        let wrong = once || config.get("ack_policy") != Some(&json!("explicit"));
        Ok(wrong.then(|| format!("consumer {name}: ack_policy must be explicit and max_deliver above 1")))
    }

    async fn wrong_with_consumers(&self, step: &Step) -> anyhow::Result<Vec<String>> {
        let stream = self.names.stream(&step.stream());
        let (mut wrong, mut ours) = (Vec::new(), Vec::new());
        let mut pools = self.pools(step).await.unwrap_or_default();
        pools.insert(0, names::DEFAULT_POOL.to_owned());
        for (name, _) in pools.iter().flat_map(|pool| names::consumers(step.stage, pool)) {
            wrong.extend(self.wrong_with_consumer(&stream, &name).await?);
            ours.push(name);
        }
        let subject = format!("CONSUMER.NAMES.{stream}");
        let there = self.info(&subject, ErrorCode::STREAM_NOT_FOUND).await?.unwrap_or_default();
        let there = there["consumers"].as_array().cloned().unwrap_or_default();
        let foreign = there.iter().filter_map(Value::as_str).filter(|name| !ours.iter().any(|own| own == name));
        wrong.extend(
            foreign.map(|name| {
                format!("consumer {name} on {stream} belongs to no stage: it takes jobs that no worker gets")
            }),
        );
        Ok(wrong)
    }

    /// When the stream of a step was made (Unix nanoseconds), and the ack wait of these pools.
    pub(crate) async fn terms(&self, step: &Step, pools: &[String]) -> anyhow::Result<(i128, Duration)> {
        let stream = self.names.stream(&step.stream());
        let created = self.context.get_stream(&stream).await?.cached_info().created.unix_timestamp_nanos();
        let mut ack_wait = Duration::MAX;
        for (name, _) in pools.iter().flat_map(|pool| names::consumers(step.stage, pool)) {
            let config = self.consumer_config(&stream, &name).await?.unwrap_or_default();
            let own = config.get("ack_wait").and_then(Value::as_u64).map_or(Duration::MAX, Duration::from_nanos);
            ack_wait = ack_wait.min(own);
        }
        Ok((created, ack_wait.min(Duration::from_secs(3600))))
    }

    /// Waits until everything is there as it must be: a server that starts, or elects a leader,
    /// answers late or not at all.
    ///
    /// # Errors
    /// [`Unusable`], seen twice: such a server may also not know yet what it has. And a client that is gone.
    pub async fn wait_usable(&self, stage: &str, pools: &[String]) -> anyhow::Result<()> {
        let mut before = false;
        loop {
            self.wait_connected().await;
            anyhow::ensure!(!self.is_gone(), "the NATS client has ended for good");
            match self.check(stage, pools).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is::<Unusable>() && before => return Err(error),
                Err(error) => {
                    tracing::warn!(error = causes(&error), "streams or consumers cannot be used yet; trying again");
                    before = error.is::<Unusable>();
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

/// What makes the pool.
fn pool_flag(step: &Step, pool: &str) -> String {
    let others = pool != names::DEFAULT_POOL;
    if others { format!(" --pool {}/{pool}", step.queue) } else { String::new() }
}

fn limits(value: Option<&Value>) -> bool {
    value.and_then(Value::as_i64).is_some_and(|limit| limit > 0)
}
