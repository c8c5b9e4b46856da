//! Recordings: in the message where they fit, else through the bucket.

use bytes::Bytes;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::store::{ObjectKey, Store};
use shanshui_pipeline::{Failure, wire};

/// Whether the job travels with its recording in one message.
pub fn fits(queue: &Queue, job: &AudioJob) -> bool {
    let limit = queue.max_payload();
    // Encoding copies: spare it for what cannot fit.
    let AudioSource::Inline(bytes) = &job.audio else { return true };
    bytes.len() <= limit && wire::encode(job).1.len() <= limit
}

/// Where [`upload`] puts a recording.
pub fn stored(id: &JobId, recording: &Bytes) -> AudioSource {
    AudioSource::Stored { key: ObjectKey::Audio(id).path(), sha256: Some(sha256_hex(recording)) }
}

/// Puts the recording of a job into the bucket.
///
/// # Errors
/// A store that is away, and a name under which another recording lies.
pub async fn upload(store: &Store, id: &JobId, recording: Bytes) -> Result<AudioSource, Failure> {
    let sha256 = sha256_hex(&recording);
    let stored = store.put(&ObjectKey::Audio(id), recording).await?;
    if stored.sha256 != sha256 {
        return Err(FieldError::new("id", id, "a name that no other recording has").into());
    }
    Ok(AudioSource::Stored { key: stored.key, sha256: Some(sha256) })
}
