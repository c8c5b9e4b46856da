//! One object becomes one job, however often it is taken.

use serde_json::{Map, Value, json};
use shanshui_pipeline::job::AudioJob;
use shanshui_pipeline::queue::{Burial, Original};
use shanshui_pipeline::store::{Look, ObjectKey};
use shanshui_pipeline::telemetry::Intaken;
use shanshui_pipeline::{Code, Failure, JobId, OrFailure, wire};

use crate::intake::Intake;
use crate::place::Place;
use crate::record::{self, Record};
use crate::sidecar::{self, Sidecar};

/// Longest key that a label holds, in bytes.
const MAX_LABEL: usize = 256;

/// Largest recording that is carried where the store does not copy it, in bytes.
const MAX_CARRIED: u64 = 256 << 20;

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its job is on the queue.
    Submitted(JobId),
    /// Its job was there before.
    Known,
    /// It is not there, or is another one by now.
    Gone,
    /// It cannot become a job; that was told.
    Refused,
}

impl Taken {
    /// As the metrics name it.
    fn word(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "submitted",
            Self::Known => "known",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }
}

impl Intake {
    /// Takes what lies at `key` now. Safe to be stopped anywhere and to be done again.
    pub(crate) async fn take(&self, key: &str, version: Option<&str>) -> Result<Taken, Failure> {
        let taken = self.take_one(key, version).await;
        self.metrics.intaken(Intaken::Objects, taken.as_ref().map_or("failed", Taken::word));
        taken
    }

    async fn take_one(&self, key: &str, version: Option<&str>) -> Result<Taken, Failure> {
        let Some(look) = self.watched.look(key, version).await? else { return Ok(Taken::Gone) };
        let job = record::job_of(&self.settings.watch.bucket, &look)?;
        let known = self.known(&job).await?;
        if known.is_some() && self.is_under_way(&job).await? {
            return Ok(Taken::Known);
        }
        let record = match known {
            Some(record) => record,
            None => match self.prepare(&job, &look).await? {
                Ok(record) => record,
                Err(taken) => return Ok(taken),
            },
        };
        let payload = record.job.to_string().into_bytes().into();
        let audio: AudioJob = wire::decode(Some(wire::JSON), payload)?;
        let submitted = self.queue.submit(&record.lane, &audio).await.or_outage()?;
        tracing::info!(%job, key, duplicate = submitted.duplicate, "recording taken");
        Ok(Taken::Submitted(job))
    }

    async fn known(&self, job: &JobId) -> Result<Option<Record>, Failure> {
        match self.store.get(&record::key(job).path(), record::MAX_BYTES).await {
            Ok(bytes) => Record::read(&bytes).map(Some),
            Err(failure) if failure.code() == Code::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether a worker has seen the job. The bucket remembers its end for longer than any stream.
    async fn is_under_way(&self, job: &JobId) -> Result<bool, Failure> {
        let ended = self.store.find(&ObjectKey::Receipt(job)).await?.is_some()
            || self.store.find(&ObjectKey::End { job, run: 0 }).await?.is_some();
        Ok(ended || !self.queue.history(job).await.or_outage()?.is_empty())
    }

    /// Copies the recording to where nobody changes it, and writes down what is to be published.
    async fn prepare(&self, job: &JobId, look: &Look) -> Result<Result<Record, Taken>, Failure> {
        let beside = Place::beside(&look.key).file(".json");
        let (sidecar, fields) = match sidecar::read(&self.watched, &beside).await? {
            Sidecar::Absent => (false, Map::new()),
            Sidecar::Fields(fields) => (true, fields),
            Sidecar::Wrong(reason) => return self.refuse(job, look, &reason).await.map(Err),
        };
        let payload = self.job(job, look, fields);
        if let Err(error) = wire::decode::<AudioJob>(Some(wire::JSON), payload.to_string().into_bytes().into()) {
            return self.refuse(job, look, &error.to_string()).await.map(Err);
        }
        if !self.keep(job, look).await? {
            return Ok(Err(Taken::Gone));
        }
        let record = Record {
            version: 1,
            intake: self.settings.name.clone(),
            lane: self.settings.lane.clone(),
            bucket: self.settings.watch.bucket.clone(),
            key: look.key.clone(),
            object_version: look.version.clone(),
            etag: look.etag.clone(),
            sidecar,
            job: payload,
        };
        let body = serde_json::to_vec(&record).or_reject()?;
        let stored = self.store.put(&record::key(job), body.into()).await?;
        // Another intake was faster: its words count.
        let first = if stored.existed { self.known(job).await? } else { None };
        Ok(Ok(first.unwrap_or(record)))
    }

    /// Copies the recording; `false` if it is another one by now.
    async fn keep(&self, job: &JobId, look: &Look) -> Result<bool, Failure> {
        let key = ObjectKey::Audio(job);
        if self.store.copy(&self.watched, look, &key).await? {
            return Ok(true);
        }
        if self.watched.look(&look.key, None).await?.as_ref() != Some(look) {
            return Ok(false);
        }
        // It lies there unchanged: this store cannot copy it. s3rver does not find a key with a plus.
        let body = self.watched.get(&look.key, MAX_CARRIED).await?;
        self.store.put(&key, body).await.map(|_| true)
    }

    fn job(&self, job: &JobId, look: &Look, fields: Map<String, Value>) -> Value {
        let mut all = sidecar::joined(self.settings.job.clone(), fields);
        if look.key.len() <= MAX_LABEL {
            let label = json!({ "labels": { "recording": look.key } });
            all = sidecar::joined(label.as_object().cloned().unwrap_or_default(), all);
        }
        all.insert("id".into(), job.as_str().into());
        all.insert("audio".into(), json!({ "key": ObjectKey::Audio(job).path() }));
        Value::Object(all)
    }

    /// Says beside the recording and in DEAD why it does not become a job.
    async fn refuse(&self, job: &JobId, look: &Look, reason: &str) -> Result<Taken, Failure> {
        tracing::warn!(%job, key = look.key, reason, "a recording is refused");
        self.mark(&look.key, &format!("{reason}\n")).await?;
        // In a form of an event, so that it can be replayed.
        let event =
            json!({ "action": "PutObject", "bucket": self.settings.watch.bucket, "object": { "key": look.key } });
        let (subject, payload) = (self.queue.names().intake(&self.settings.name), event.to_string().into());
        let original = Original { subject: &subject, headers: None, payload: &payload };
        let (worker, code) = (self.settings.name.as_str(), Code::BadInput);
        let burial = Burial { stage: "intake", job: job.as_str(), worker, code, reason, attempts: 1, sequence: 0 };
        self.queue.bury(&burial, &original).await.or_outage()?;
        Ok(Taken::Refused)
    }
}
