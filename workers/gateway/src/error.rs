//! What a request is refused with: one form for all interfaces.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shanshui_client::SubmitError;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::{Code, Failure};

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    /// Seconds after which another try makes sense.
    pub(crate) retry_after: Option<u64>,
    /// The job that has no result.
    job: Option<JobId>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None, retry_after: None, job: None }
    }

    /// The field or parameter that it is about.
    pub(crate) fn about(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    /// Why this job has no result: its document is still there.
    pub(crate) fn of(self, job: &JobId) -> Self {
        Self { job: Some(job.clone()), ..self }
    }

    /// The same for whoever has named no job but sent an `Idempotency-Key`.
    pub(crate) fn of_key(self) -> Self {
        if self.code != Code::NameUsed.as_str() || self.param.as_deref() != Some("id") {
            return self;
        }
        let message = "Idempotency-Key: (used) is not allowed; allowed: another one for each other request";
        Self { message: message.to_owned(), ..self }.about("Idempotency-Key")
    }

    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// NATS or the object store is away, or the queue takes nothing now.
    pub(crate) fn away(error: &anyhow::Error) -> Self {
        let said = format!("{error:#}");
        // JetStream: maximum bytes, messages, or messages per subject exceeded.
        if said.contains("maximum ") && said.contains("exceeded") {
            return Self::queue_full(format!("the queue is full: {said}"));
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::ServiceAway.as_str(), said).after(5)
    }

    pub(crate) fn queue_full(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue-full", message).after(30)
    }

    pub(crate) fn unknown_job(id: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound.as_str(), format!("nobody knows a job {id}")).about("id")
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound.as_str(), what)
    }

    /// The same as the JSON that is sent.
    pub(crate) fn value(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let mut value =
            json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } });
        if let Some(job) = &self.job {
            value["id"] = job.as_str().into();
        }
        value
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        let status = if error.field == "payload" && error.allowed.contains("max_payload") {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        Self::new(status, Code::BadInput.as_str(), error.to_string()).about(&error.field)
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Field(error) => error.into(),
            SubmitError::NameUsed(error) => {
                Self::new(StatusCode::CONFLICT, Code::NameUsed.as_str(), error.to_string()).about(&error.field)
            }
            SubmitError::Away(error) => Self::away(&error),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure.code() {
            // The failure tells the bucket and its address: that is for the log.
            Code::NotFound => Self::missing("this object is not there, or not any more"),
            Code::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge.as_str(), failure.to_string()),
            _ => match failure {
                Failure::Reject(error) => {
                    Self::new(StatusCode::BAD_REQUEST, Code::BadInput.as_str(), format!("{error:#}"))
                }
                other => {
                    tracing::warn!(error = %other, "the object store does not do what a request needs");
                    Self::away(&anyhow::anyhow!("the object store does not answer; trying again may help"))
                }
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = answer(self.status, &self.value());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if let Some(place) = self.job.and_then(|job| HeaderValue::from_str(&format!("/v1/jobs/{job}")).ok()) {
            response.headers_mut().insert(LOCATION, place);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let asked = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, asked);
        }
        response
    }
}

/// JSON with a status.
pub(crate) fn answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What is known of a job changes, and is one caller's.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
