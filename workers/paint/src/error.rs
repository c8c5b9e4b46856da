//! Why pictures were not painted, by who is to blame.
//!
//! A job's own fault is final and says nothing about the worker; a worker's fault may pass and, repeated,
//! ends the worker. So the two are different types from the model's code up, and no error of unknown
//! origin turns into either: there is no conversion from [`anyhow::Error`].

use shanshui_model::gpu;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::fields::FieldError;

use crate::paint::Stopped;

/// The job cannot be painted: another attempt, or another worker with this model, would end the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// A field has a value that the model or the limits do not allow.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The text cannot be turned into tokens.
    #[error("text: {0}")]
    Text(String),
    /// The model's numbers overflow: painting again with the same precision cannot help.
    #[error("picture {picture}: {what} are not finite numbers; a wider number format (f32) may help")]
    NotFinite {
        /// Index of the picture in its request.
        picture: u32,
        /// What was looked at.
        what: &'static str,
    },
    /// The picture cannot be written in the format that the job wants.
    #[error("picture.format: {0}")]
    File(String),
}

/// The device, its driver or our code failed: the job is not known to be the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct WorkerError(anyhow::Error);

/// Why a painting has no pictures.
#[derive(Debug, thiserror::Error)]
pub enum PaintError {
    /// The job's fault.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The worker was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The worker's fault.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl WorkerError {
    /// Takes an error on the worker, where the code that fails cannot see anything of the job.
    pub fn of(error: impl Into<anyhow::Error>) -> Self {
        Self(error.into())
    }

    /// Whether a device has no room left.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        gpu::is_full(&self.0)
    }
}

impl From<candle_core::Error> for WorkerError {
    fn from(error: candle_core::Error) -> Self {
        Self(error.into())
    }
}

impl From<candle_core::Error> for PaintError {
    fn from(error: candle_core::Error) -> Self {
        Self::Worker(error.into())
    }
}

impl From<FieldError> for PaintError {
    fn from(error: FieldError) -> Self {
        Self::Job(error.into())
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        Self::Reject(error.into())
    }
}

impl From<PaintError> for Failure {
    fn from(error: PaintError) -> Self {
        match error {
            PaintError::Job(error) => error.into(),
            PaintError::Stopped(_) => Self::Interrupted,
            PaintError::Worker(WorkerError(error)) if gpu::is_lost(&error) => Self::Lost(error),
            PaintError::Worker(WorkerError(error)) => Self::Retry(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Progress;

    #[test]
    fn a_jobs_own_fault_is_never_tried_again_and_a_workers_is() {
        let field = FieldError::new("picture.steps", 20, "1 to 19");
        for job in [JobError::Field(field), JobError::NotFinite { picture: 0, what: "latents" }] {
            let failure = Failure::from(PaintError::from(job));
            assert!(matches!(failure, Failure::Reject(_)), "{failure}");
        }
        let device = candle_core::Error::Msg("the driver is gone".into());
        assert!(matches!(PaintError::from(device).into(), Failure::Retry(_)));
        let lost = candle_core::Error::Msg("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"…\")".into());
        assert!(matches!(PaintError::from(lost).into(), Failure::Lost(_)));
        let stopped = PaintError::from(Stopped(Progress { done: 1, total: 2 }));
        assert!(matches!(stopped.into(), Failure::Interrupted));
    }
}
