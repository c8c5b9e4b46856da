//! Refusals as gRPC has them: a code, and details as google.rpc names them.

use axum::http::StatusCode;
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

use crate::error::ApiError;

/// Whose reasons they are.
const DOMAIN: &str = "shanshui";

/// Codes of gRPC, and what they mean as a status of HTTP.
const MEANT: [(Code, StatusCode); 12] = [
    (Code::Ok, StatusCode::OK),
    (Code::InvalidArgument, StatusCode::BAD_REQUEST),
    (Code::Unauthenticated, StatusCode::UNAUTHORIZED),
    (Code::PermissionDenied, StatusCode::FORBIDDEN),
    (Code::NotFound, StatusCode::NOT_FOUND),
    (Code::AlreadyExists, StatusCode::CONFLICT),
    (Code::OutOfRange, StatusCode::PAYLOAD_TOO_LARGE),
    (Code::FailedPrecondition, StatusCode::UNPROCESSABLE_ENTITY),
    (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
    (Code::Unimplemented, StatusCode::NOT_IMPLEMENTED),
    (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
    (Code::DeadlineExceeded, StatusCode::GATEWAY_TIMEOUT),
];

/// What a code means as a status of HTTP.
pub(super) fn meant(code: Code) -> StatusCode {
    let known = MEANT.iter().find(|(known, _)| *known == code);
    known.map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status)| *status)
}

/// The code of a refusal.
fn code(error: &ApiError) -> Code {
    match (error.status, error.code) {
        // The state of the job is in the way, and not its name.
        (_, "job-ended" | "job-open" | "canceled") => Code::FailedPrecondition,
        (StatusCode::REQUEST_TIMEOUT, _) => Code::DeadlineExceeded,
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => Code::InvalidArgument,
        (status, _) => MEANT.iter().find(|(_, known)| *known == status).map_or(Code::Internal, |(code, _)| *code),
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let code = code(&error);
        let details = Rich { code: code.into(), message: error.message.clone(), details: details(&error) };
        Self::with_details(code, error.message, Bytes::from(details.encode_to_vec()))
    }
}

fn details(error: &ApiError) -> Vec<Any> {
    let reason = ErrorInfo { reason: error.code.to_owned(), domain: DOMAIN.to_owned() };
    let field = error.param.clone().map(|field| BadRequest {
        field_violations: vec![FieldViolation { field, description: error.message.clone() }],
    });
    let retry = error.retry_after.map(|seconds| RetryInfo { retry_delay: Some(Duration { seconds: seconds as i64 }) });
    let mut all = vec![any(ErrorInfo::URL, &reason)];
    all.extend(field.map(|field| any(BadRequest::URL, &field)));
    all.extend(retry.map(|retry| any(RetryInfo::URL, &retry)));
    all
}

fn any(url: &str, message: &impl Message) -> Any {
    Any { type_url: url.to_owned(), value: message.encode_to_vec() }
}

// google/rpc/status.proto and error_details.proto, as far as they are used.

#[derive(Clone, PartialEq, Message)]
struct Rich {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
}

impl ErrorInfo {
    const URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";
}

#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

impl BadRequest {
    const URL: &str = "type.googleapis.com/google.rpc.BadRequest";
}

#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

impl RetryInfo {
    const URL: &str = "type.googleapis.com/google.rpc.RetryInfo";
}

#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}
