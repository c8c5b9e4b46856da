//! The story of a job, from its events.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use async_nats::jetstream::consumer::{DeliverPolicy, pull::OrderedConfig};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::Queue;
use super::names::MESSAGE_ID;
use crate::event::{Envelope, Event, final_id};
use crate::job::JobId;

impl Queue {
    /// All events of a job from the first one; ends after the final one.
    pub async fn follow(
        &self,
        job: &JobId,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Envelope>> + Send + Unpin + use<>> {
        let (_, messages) = self.events_of(job).await?;
        let until_end = stream::unfold(Some(messages), |messages| async move {
            let mut messages = messages?;
            let item = messages.next().await?;
            let rest = (!is_end(&item)).then_some(messages);
            Some((item, rest))
        });
        Ok(until_end.boxed())
    }

    /// The events of a job that are there now, oldest first.
    pub async fn history(&self, job: &JobId) -> anyhow::Result<Vec<Envelope>> {
        let (count, messages) = self.events_of(job).await?;
        messages.take(count).try_collect().await
    }

    /// Whether a job has its final event, for the run after `replay` ways out of DEAD.
    pub async fn has_ended(&self, job: &JobId, replay: u32) -> anyhow::Result<bool> {
        let Some(last) = self.last(&self.names.event(job, ">")).await? else { return Ok(false) };
        let id = last.headers.get(MESSAGE_ID).map_or("", |id| id.as_str());
        let is_final = parse(&last.payload)?.data.is_final();
        Ok(is_final && (replay == 0 || id == final_id(job, replay)))
    }

    /// How many attempts of a job at a stage ended through no fault of its own.
    pub(crate) async fn releases(&self, job: &JobId, stage: &str) -> anyhow::Result<u64> {
        let history = self.history(job).await?;
        let released = |event: &&Envelope| matches!(&event.data, Event::Released { stage: at, .. } if at == stage);
        Ok(history.iter().filter(released).count() as u64)
    }

    /// The last event of a job: its status.
    pub async fn last_event(&self, job: &JobId) -> anyhow::Result<Option<Envelope>> {
        let last = self.last(&self.names.event(job, ">")).await?;
        last.map(|message| parse(&message.payload)).transpose()
    }

    /// How often each kind of event was told, job by job.
    pub(crate) async fn told(&self) -> anyhow::Result<HashMap<JobId, HashMap<String, usize>>> {
        let name = self.names.stream("EVENTS");
        let stream = self.context.get_stream_no_info(&name).await?;
        let subjects = stream.info_with_subjects(self.names.all("events")).await;
        let mut subjects = subjects.with_context(|| format!("cannot read stream {name}"))?;
        let mut told: HashMap<JobId, HashMap<String, usize>> = HashMap::new();
        while let Some((subject, count)) = subjects.try_next().await? {
            let mut tokens = subject.rsplit('.');
            let (Some(kind), Some(job)) = (tokens.next(), tokens.next()) else { continue };
            // Anybody may publish: what is no name of a job is no job.
            let Ok(job) = JobId::parse("job", job) else { continue };
            told.entry(job).or_default().insert(kind.to_owned(), count);
        }
        Ok(told)
    }

    /// Whether somebody has taken the job back.
    pub async fn is_canceled(&self, job: &JobId) -> anyhow::Result<bool> {
        Ok(self.last(&self.names.cancel(job.as_str())).await?.is_some())
    }

    async fn last(&self, subject: &str) -> anyhow::Result<Option<StreamMessage>> {
        let name = self.names.stream("EVENTS");
        let stream = self.context.get_stream_no_info(&name).await?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {subject} from stream {name}")),
        }
    }

    /// How many events there are, and a stream of them that goes on with new ones.
    async fn events_of(
        &self,
        job: &JobId,
    ) -> anyhow::Result<(usize, stream::BoxStream<'static, anyhow::Result<Envelope>>)> {
        let name = self.names.stream("EVENTS");
        let events = self.context.get_stream_no_info(&name).await?;
        let consumer = events.create_consumer(OrderedConfig {
            filter_subject: self.names.event(job, ">"),
            deliver_policy: DeliverPolicy::All,
            ..OrderedConfig::default()
        });
        let consumer = consumer.await.with_context(|| format!("cannot read stream {name}"))?;
        let count = usize::try_from(consumer.cached_info().num_pending).unwrap_or(usize::MAX);
        let mut known = HashSet::new();
        // An ordered consumer that is made anew after a lost link may tell a thing twice.
        let messages = consumer.messages().await?.filter_map(move |item| {
            let item = item.map_err(anyhow::Error::from).and_then(|message| {
                let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
                Ok(known.insert(sequence).then(|| parse(&message.payload)))
            });
            std::future::ready(item.transpose().map(Result::flatten))
        });
        Ok((count, messages.boxed()))
    }
}

fn is_end(item: &anyhow::Result<Envelope>) -> bool {
    item.as_ref().map_or(true, |envelope| envelope.data.is_final())
}

fn parse(payload: &[u8]) -> anyhow::Result<Envelope> {
    serde_json::from_slice(payload).context("an event is not of the form that this version knows")
}
