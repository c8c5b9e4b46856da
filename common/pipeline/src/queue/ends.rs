//! The last word on a job: one message for each of its runs, and the first one stays.

use async_nats::HeaderMap;

use super::raw::Ask;
use super::{Outgoing, Queue};
use crate::event::Envelope;
use crate::job::JobId;
use crate::names::LANE_HEADER;

/// What the stream `ENDS` says of a run of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It has not ended.
    Open,
    /// It ended with this event.
    Told(Box<Envelope>),
}

/// What lies on the subject of a job's last word.
struct Word {
    /// Its sequence; 0 where nothing lies there.
    sequence: u64,
    end: End,
}

impl Queue {
    /// How the run of a job after `run` ways out of DEAD ended.
    pub async fn end_of(&self, job: &JobId, run: u32) -> anyhow::Result<End> {
        Ok(self.word(job, run).await?.end)
    }

    /// Whether the run has ended.
    pub async fn has_ended(&self, job: &JobId, run: u32) -> anyhow::Result<bool> {
        Ok(self.end_of(job, run).await? != End::Open)
    }

    /// Tells the last word, unless somebody has told one: then it is that one that counts, and it
    /// comes back. What is no last word (anybody may have the server put an answer on a subject)
    /// is overruled.
    pub(crate) async fn tell_end(
        &self,
        (job, run): (&JobId, u32),
        lane: Option<&str>,
        envelope: &Envelope,
    ) -> anyhow::Result<Envelope> {
        let (mut last, mut headers) = (0, HeaderMap::new());
        if let Some(lane) = lane {
            headers.insert(LANE_HEADER, lane);
        }
        loop {
            let outgoing = Outgoing {
                subject: self.names.ended(job.as_str(), &run.to_string()),
                message_id: String::new(),
                headers: headers.clone(),
                payload: serde_json::to_vec(envelope)?.into(),
            };
            if self.publish_after(last, outgoing).await? {
                return Ok(envelope.clone());
            }
            match self.word(job, run).await? {
                Word { end: End::Told(told), .. } => return Ok(*told),
                Word { sequence, .. } if sequence != last => last = sequence,
                // It went between the two looks, or the stream drops it at once.
                Word { .. } => anyhow::bail!("the last word on job {job} does not stay on its stream"),
            }
        }
    }

    async fn word(&self, job: &JobId, run: u32) -> anyhow::Result<Word> {
        let subject = self.names.ended(job.as_str(), &run.to_string());
        let last = self.read(&self.names.stream("ENDS"), Ask::Last { last_by_subj: &subject }).await?;
        let Some(message) = last else { return Ok(Word { sequence: 0, end: End::Open }) };
        let told = Envelope::read(&message.payload, job).filter(|envelope| envelope.data.is_final());
        if told.is_none() {
            tracing::error!(%job, sequence = message.sequence, "what lies on this job's last word is no end");
        }
        let end = told.map_or(End::Open, |envelope| End::Told(Box::new(envelope)));
        Ok(Word { sequence: message.sequence, end })
    }
}
