//! Puts a job on its queue.

use shanshui_pipeline::event::Event;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::queue::{Queue, Submitted};
use shanshui_pipeline::{Job, Step, wire};

/// Why a job is not on its queue.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A field of it cannot be used.
    #[error(transparent)]
    Field(FieldError),
    /// Another job has its name.
    #[error(transparent)]
    NameUsed(FieldError),
    /// The queue is away, or takes nothing now.
    #[error("{0:#}")]
    Away(anyhow::Error),
}

/// The job's own name, or a new one that it gets hereby.
pub fn name(job: &mut impl Job) -> JobId {
    job.meta_mut().id.get_or_insert_with(JobId::random).clone()
}

/// Whether the pipeline has the stage at which the job is to end.
///
/// # Errors
/// Names the stages that follow from the job's queue on.
pub fn check_until<J: Job>(steps: &[Step], job: &J) -> Result<(), FieldError> {
    let begins = steps.iter().position(|step| step.queue == J::QUEUE).unwrap_or(0);
    match job.meta().until.as_deref() {
        Some(name) if Step::named(&steps[begins..], name).is_none() => {
            Err(FieldError::new("until", name, Step::names(&steps[begins..])))
        }
        _ => Ok(()),
    }
}

/// Submits a job, under a new name if it has none. A name that another job has had is refused here,
/// as a worker would refuse it later.
///
/// # Errors
/// What must change before it can be accepted.
pub async fn submit<J: Job>(queue: &Queue, lane: &str, job: &mut J) -> Result<Submitted, SubmitError> {
    let named = job.meta().id.is_some();
    let id = name(job);
    if named {
        check_name(queue, &id, job).await?;
    }
    queue.submit_anew(lane, job).await.map_err(|error| match error.downcast::<FieldError>() {
        Ok(field) => SubmitError::Field(field),
        Err(error) => SubmitError::Away(error),
    })
}

/// Whether nobody has told of another job under this name: before a worker accepts a job, the event
/// `queued` tells of it.
///
/// # Errors
/// The name is used, or the queue is away.
pub async fn check_name<J: Job>(queue: &Queue, id: &JobId, job: &J) -> Result<(), SubmitError> {
    check_digest(queue, id, &Event::digest(&wire::encode(job).1)).await
}

/// The same for a job whose message has this digest.
///
/// # Errors
/// As [`check_name`].
pub async fn check_digest(queue: &Queue, id: &JobId, own: &str) -> Result<(), SubmitError> {
    let history = queue.history(id).await.map_err(SubmitError::Away)?;
    let others = |event: &Event| match event {
        Event::Accepted { digest, .. } | Event::Queued { digest, .. } => !digest.is_empty() && digest != own,
        _ => false,
    };
    if history.iter().any(|envelope| others(&envelope.data)) {
        let found = format!("{id} (another job has it)");
        return Err(SubmitError::NameUsed(FieldError::new("id", found, "a name of its own for each job")));
    }
    Ok(())
}
