//! What a job made goes back to the bucket, under the name of its recording.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::Value;
use shanshui_pipeline::delivery::Delivery;
use shanshui_pipeline::event::{Envelope, Event};
use shanshui_pipeline::health::Part;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::store::{Look, ObjectKey, Writing};
use shanshui_pipeline::telemetry::Intaken;
use shanshui_pipeline::{Code, Failure, JobId, OrFailure};

use crate::intake::{Intake, is_outage};
use crate::place::Place;
use crate::record::{self, Record};

/// Largest object that is brought back, in bytes.
const MAX_OBJECT: u64 = 256 << 20;
/// Name of the note that tells whose result an object is.
const NOTE: &str = "recording";
/// Ending of the marker of a recording that became nothing.
const MARKER: &str = ".error.txt";
/// Deliveries of an end whose results the bucket does not take.
const ATTEMPTS: u64 = 20;
/// Before an end comes again.
const AGAIN: Duration = Duration::from_secs(15);

/// One file to bring back: the object of the job, and the ending of its new name.
struct File {
    path: String,
    ending: String,
    content_type: &'static str,
}

impl Intake {
    pub(crate) async fn go_on_bringing(&self) {
        loop {
            let met = match self.ends.one().await {
                Ok(None) => {
                    self.works(Part::Results);
                    Ok(())
                }
                Ok(Some(delivery)) => self.settle(&delivery).await,
                Err(error) => Err(error),
            };
            if let Err(error) = met {
                self.tell(Part::Results, &error).await;
            }
        }
    }

    async fn settle(&self, delivery: &Delivery) -> anyhow::Result<()> {
        match self.bring(delivery).await {
            Ok(brought) => {
                delivery.ack().await?;
                brought.into_iter().for_each(|how| self.metrics.intaken(Intaken::Results, how));
                self.works(Part::Results);
                Ok(())
            }
            Err(failure) if is_outage(&failure) => {
                self.metrics.intaken(Intaken::Results, "again");
                delivery.hand_back(AGAIN).await?;
                Err(failure.into())
            }
            Err(failure) if delivery.delivered < ATTEMPTS && !matches!(failure, Failure::Reject(_)) => {
                tracing::warn!(reason = %failure, "cannot bring results back; trying again");
                self.metrics.intaken(Intaken::Results, "again");
                delivery.hand_back(AGAIN).await
            }
            Err(failure) => {
                self.metrics.intaken(Intaken::Results, "left");
                let subject = delivery.original().subject;
                tracing::error!(subject, reason = %failure, "results stay where they are, below jobs/");
                delivery.ack().await
            }
        }
    }

    /// Brings the results of one end back, if it is that of a recording of this intake; says what it brought.
    async fn bring(&self, delivery: &Delivery) -> Result<Option<&'static str>, Failure> {
        let original = delivery.original();
        let name = original.subject.rsplit('.').nth(1).filter(|name| name.starts_with(record::NAMES));
        let Some(job) = name.and_then(|name| JobId::parse("job", name).ok()) else { return Ok(None) };
        let Some(envelope) = Envelope::read(original.payload, &job) else { return Ok(None) };
        let record = match self.store.get(&record::key(&job).path(), record::MAX_BYTES).await {
            Ok(bytes) => Record::read(&bytes)?,
            // Somebody chose such a name himself.
            Err(failure) if failure.code() == Code::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        if record.intake != self.settings.name || self.is_replaced(&job, &record).await? {
            return Ok(None);
        }
        let why = match &envelope.data {
            Event::Done { .. } => return self.bring_files(&job, &record).await.map(|()| Some("brought")),
            Event::Failed { code, reason, .. } => format!("{reason}\ncode: {code}\n"),
            Event::NoSpeech { reason, .. } => format!("nobody speaks in the recording: {reason}\n"),
            Event::Canceled { .. } => "the job was canceled\n".to_owned(),
            _ => return Ok(None),
        };
        self.mark(&record.key, &format!("{why}job: {job}\n")).await.map(|()| Some("marked"))
    }

    /// Whether another recording has the name by now: its results are to lie there.
    async fn is_replaced(&self, job: &JobId, record: &Record) -> Result<bool, Failure> {
        let Some(now) = self.watched.look(&record.key, None).await? else { return Ok(false) };
        Ok(record::job_of(&record.bucket, &now)? != *job)
    }

    async fn bring_files(&self, job: &JobId, record: &Record) -> Result<(), Failure> {
        let receipt = self.store.get(&ObjectKey::Receipt(job).path(), MAX_OBJECT).await?;
        let files = files(job, record.sidecar && self.settings.results.is_none(), &receipt)?;
        let mut place = self.place(&record.key);
        for file in &files {
            if self.is_taken(&place.file(&file.ending), &record.key, &file.path).await? {
                place = place.whole();
                break;
            }
        }
        for file in &files {
            let key = place.file(&file.ending);
            if self.is_taken(&key, &record.key, &file.path).await? {
                tracing::error!(%job, key, "another object has the name of a result; it stays below jobs/");
                continue;
            }
            let body = self.store.get(&file.path, MAX_OBJECT).await?;
            self.write(&key, body, file.content_type, &record.key).await?;
        }
        self.unmark(&record.key).await
    }

    /// Says beside the recording why nothing came of it.
    pub(crate) async fn mark(&self, recording: &str, text: &str) -> Result<(), Failure> {
        let place = self.place(recording);
        let (short, whole) = (place.file(MARKER), place.whole().file(MARKER));
        let taken = self.watched.look(&short, None).await?.is_some_and(|look| !is_of(&look, recording));
        self.write(if taken { &whole } else { &short }, text.to_owned().into(), "text/plain; charset=utf-8", recording)
            .await
    }

    /// Removes the marker of an earlier failure. Not every intake may delete: then it stays.
    async fn unmark(&self, recording: &str) -> Result<(), Failure> {
        let place = self.place(recording);
        for key in [place.file(MARKER), place.whole().file(MARKER)] {
            let marker = self.watched.look(&key, None).await?;
            if marker.is_some_and(|look| is_of(&look, recording))
                && let Err(failure) = self.watched.remove(&key).await
            {
                tracing::warn!(key, reason = %failure, "an old marker stays");
            }
        }
        Ok(())
    }

    fn place(&self, recording: &str) -> Place {
        match &self.settings.results {
            Some(results) => Place::below(results, &self.settings.watch.prefix, recording),
            None => Place::beside(recording),
        }
    }

    /// Whether somebody else's object lies at `key`. A store that keeps no notes is asked for the bytes.
    async fn is_taken(&self, key: &str, recording: &str, path: &str) -> Result<bool, Failure> {
        let Some(look) = self.watched.look(key, None).await? else { return Ok(false) };
        if is_of(&look, recording) {
            return Ok(false);
        }
        if !look.metadata.is_empty() || look.bytes > MAX_OBJECT {
            return Ok(true);
        }
        Ok(self.watched.get(key, MAX_OBJECT).await? != self.store.get(path, MAX_OBJECT).await?)
    }

    async fn write(&self, key: &str, body: Bytes, content_type: &str, recording: &str) -> Result<(), Failure> {
        let note = digest(recording);
        self.watched.overwrite(Writing { key, body, content_type, note: (NOTE, &note) }).await
    }
}

/// Whether an object is a result of this recording, of today or of an earlier one of its name.
fn is_of(look: &Look, recording: &str) -> bool {
    look.metadata.get(NOTE).is_some_and(|note| *note == digest(recording))
}

fn digest(recording: &str) -> String {
    sha256_hex(recording.as_bytes())[..32].to_owned()
}

/// What people want of a job that is done. The receipt comes last: with it, all is there.
fn files(job: &JobId, sidecar: bool, receipt: &[u8]) -> Result<Vec<File>, Failure> {
    let receipt: Value = serde_json::from_slice(receipt).context("the receipt is no JSON").or_reject()?;
    let objects = receipt["objects"].as_array().into_iter().flatten();
    let of_this_job = format!("jobs/{job}/");
    let wanted = objects.filter_map(|object| {
        let (kind, path) = (object["kind"].as_str()?, object["key"].as_str()?);
        let name = path.strip_prefix(&of_this_job)?;
        let ending = match kind {
            "picture" => format!("-{name}"),
            "subtitles" if name == "transcript.txt" => ".txt".to_owned(),
            _ => return None,
        };
        let file = ObjectKey::File { job, name };
        Some(File { path: path.to_owned(), ending, content_type: file.content_type() })
    });
    let mut files: Vec<File> = wanted.collect();
    let ending = if sidecar { ".receipt.json" } else { ".json" }.to_owned();
    files.push(File { path: ObjectKey::Receipt(job).path(), ending, content_type: "application/json" });
    Ok(files)
}
