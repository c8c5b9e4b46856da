//! Why a job did not get through a stage, and what is to be done about it.

use crate::code::Code;
use crate::fields::FieldError;

/// The classes of failure: the stage says which one, the worker settles accordingly.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The job can never succeed: it goes to DEAD at the first attempt.
    #[error("{0:#}")]
    Reject(anyhow::Error),
    /// Another attempt may succeed: it comes back after a delay that grows.
    #[error("{0:#}")]
    Retry(anyhow::Error),
    /// Something that the job is not to blame for is away (NATS, S3): it comes back after a
    /// delay, and the attempt does not count.
    #[error("{0:#}")]
    Outage(anyhow::Error),
    /// This worker cannot go on (its model is gone): the attempt counts, because the job may be
    /// the reason, and the worker ends.
    #[error("{0:#}")]
    Broken(anyhow::Error),
    /// The device that this worker computes on is lost: the worker ends at once. The first time, the job is
    /// handed back and the attempt does not count; after that it does, because the job may be the reason.
    #[error("{0:#}")]
    Lost(anyhow::Error),
    /// The worker was told to stop: the job is handed back at once, and the attempt does not count.
    #[error("the worker stopped before the work was done")]
    Interrupted,
}

/// A reason with its code.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Coded {
    code: Code,
    reason: String,
}

impl Failure {
    /// The job can never succeed, for a reason with a code of its own.
    pub fn reject(code: Code, reason: impl Into<String>) -> Self {
        Self::Reject(Coded { code, reason: reason.into() }.into())
    }

    /// The word for machines.
    pub fn code(&self) -> Code {
        let told = |error: &anyhow::Error| {
            error.chain().find_map(|cause| cause.downcast_ref::<Coded>()).map(|coded| coded.code)
        };
        match self {
            Self::Reject(error) => told(error).unwrap_or(Code::BadInput),
            Self::Retry(error) | Self::Broken(error) => told(error).unwrap_or(Code::Failed),
            Self::Outage(_) => Code::ServiceAway,
            Self::Lost(_) => Code::WorkerLost,
            Self::Interrupted => Code::Interrupted,
        }
    }
}

/// The error of a worker that ends after [`Failure::Lost`]. The process that it ran in is of no more use to
/// another worker on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker ends: the device that it computes on is lost to this process")]
pub struct DeviceLost;

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        Self::Reject(error.into())
    }
}

/// Says the class of failure where the error is seen.
pub trait OrFailure<T> {
    /// The job can never succeed.
    fn or_reject(self) -> Result<T, Failure>;
    /// Another attempt may succeed.
    fn or_retry(self) -> Result<T, Failure>;
    /// Not the job's fault.
    fn or_outage(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFailure<T> for Result<T, E> {
    fn or_reject(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Reject(error.into()))
    }

    fn or_retry(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Retry(error.into()))
    }

    fn or_outage(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Outage(error.into()))
    }
}
