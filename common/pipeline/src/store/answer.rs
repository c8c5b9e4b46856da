//! What S3 said to a request that failed, and what that means for a job.

use std::error::Error;

use anyhow::anyhow;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::causes::{causes_of, one_line};
use crate::failure::Failure;

/// The parts of a failed request that decide what happens next.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status; none when no answer came.
    pub(super) status: Option<u16>,
    /// S3's name of the error, as `NoSuchKey`; empty if it gave none.
    pub(super) code: String,
    /// All of it for people, on one line.
    pub(super) said: String,
}

impl Answer {
    pub(super) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let said = match (status, error.as_service_error()) {
            (Some(status), Some(service)) => {
                one_line(&format!("{status} {code} {}", service.message().unwrap_or_default()))
            }
            _ => causes_of(error),
        };
        Self { status, code, said }
    }

    /// The class of failure that this is for a job, with what was tried in front.
    pub(super) fn failure(&self, action: &str) -> Failure {
        let error = anyhow!("{action}: {}", self.said);
        if self.is_our_request() { Failure::Retry(error) } else { Failure::Outage(error) }
    }

    /// The key is taken. Some versions of MinIO answer 304 (minio/minio#19442).
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.status, Some(412 | 304))
    }

    /// The object does not exist (and the bucket does, as far as S3 says).
    pub(super) fn is_missing(&self) -> bool {
        self.status == Some(404) && self.code != "NoSuchBucket"
    }

    /// The store is there and does not let us in.
    pub(super) fn is_refused(&self) -> bool {
        const CODES: [&str; 4] = ["ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "InvalidAccessKeyId"];
        matches!(self.status, Some(401 | 403)) || CODES.contains(&self.code.as_str())
    }

    /// The store's clock and ours differ by more than it allows.
    pub(super) fn is_skewed(&self) -> bool {
        self.code == "RequestTimeTooSkewed"
    }

    /// Nobody answered, or the one who did is in trouble: waiting may help.
    pub(super) fn is_away(&self) -> bool {
        self.status.is_none_or(|status| status >= 500 || matches!(status, 408 | 429)) || self.code == "RequestTimeout"
    }

    /// The store is well and dislikes this very request.
    fn is_our_request(&self) -> bool {
        let client_error = self.status.is_some_and(|status| (400..500).contains(&status));
        client_error && self.code != "NoSuchBucket" && !self.is_refused() && !self.is_away()
    }
}
