//! Jobs over GraphQL: the functions of `/v1/jobs`. Subscriptions come as Server-Sent Events, or over a WebSocket.

mod limits;
mod message;
mod socket;
mod types;

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use async_graphql::{Context, Error, ErrorExtensions, ID, Json, Object, Response as Said, Schema, Subscription};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use futures::stream::{BoxStream, Stream, once, unfold};
use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::body;
use crate::capabilities;
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::guard;
use crate::jobs::events::Following;
use crate::jobs::list::{self, Page};
use crate::jobs::{cancel, document, erase, events, parse, submit};
use crate::keys::Caller;
use types::{Accepted, Canceled, Draw, Erasure, Event, Job, Jobs};

/// Largest request in bytes: a text of the largest size fits.
const LARGEST: usize = 256 << 10;
/// Most errors that are told of one operation.
const ERRORS: usize = 20;
/// Between two comments that show that the line still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Own = Schema<Query, Mutation, Subscriptions>;

static SCHEMA: LazyLock<Own> = LazyLock::new(|| {
    let schema = Schema::build(Query, Mutation, Subscriptions);
    let schema = schema.limit_depth(limits::DEPTH).limit_complexity(limits::COMPLEXITY);
    schema.limit_directives(limits::DIRECTIVES).finish()
});

/// Who asks, and where.
struct Asked {
    gateway: Gateway,
    caller: Caller,
    headers: HeaderMap,
}

/// The address of GraphQL, behind the guard of all interfaces.
pub(crate) fn routes(gateway: &Gateway) -> Router<Gateway> {
    let guarded = from_fn_with_state(gateway.clone(), guard::inner);
    // A socket may bring its key later: it has a guard of its own.
    Router::new().route("/graphql", post(ask).layer(guarded).get(socket::open))
}

/// Takes one operation. A client that accepts events gets them as they come, anybody else one answer.
async fn ask(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    // Other types are those that a page of another site may send without asking.
    let media = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let message = "Content-Type: only application/json is allowed";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "unsupported-media-type", message).about("Content-Type"));
    }
    let streams = text(ACCEPT).contains("text/event-stream");
    let bytes = body::json_within(request, LARGEST).await?;
    // Read as an object first: a list would do for a request, field by field.
    let request = serde_json::from_slice(&bytes).map_err(|error| none(&error)).and_then(operation)?;
    let request = request.data(Asked { gateway, caller, headers });
    if streams {
        return Ok(told(execute(request)));
    }
    Ok(answer(StatusCode::OK, &json!(few(SCHEMA.execute(request).await))))
}

/// The answers of an operation, one after the other.
fn execute(request: async_graphql::Request) -> impl Stream<Item = Said> + Send + 'static {
    SCHEMA.execute_stream(request).map(few)
}

/// An answer with few errors: each word of a query may be wrong, and what is said of it is longer.
fn few(mut said: Said) -> Said {
    said.errors.truncate(ERRORS);
    said
}

/// The operation of a request, if it is small enough to be looked at.
fn operation(mut request: Map<String, Value>) -> Result<async_graphql::Request, ApiError> {
    // What is null is absent (GraphQL over HTTP, 5.3).
    request.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(request)).map_err(|error| none(&error)).and_then(limits::checked)
}

fn none(error: &serde_json::Error) -> ApiError {
    body::bad(format!("body: {error} is not allowed; allowed: one GraphQL request as JSON"))
}

/// The answers of an operation as the GraphQL-over-SSE protocol has them in its distinct mode.
fn told(answers: impl Stream<Item = Said> + Send + 'static) -> Response {
    let next = answers.map(|said| Sent::default().event("next").data(json!(said).to_string()));
    let complete = once(async { Sent::default().event("complete").data("") });
    let stream = next.chain(complete).map(Ok::<_, Infallible>);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // A proxy that gathers the answer would keep the events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Query;

/// What is known.
#[Object]
impl Query {
    /// All that is known of a job; null if there is none that the caller may know.
    #[graphql(complexity = "limits::READ + child_complexity")]
    async fn job(&self, context: &Context<'_>, id: ID) -> Result<Option<Job>, Error> {
        let Asked { gateway, caller, .. } = context.data()?;
        let Ok(id) = document::parse(&id) else { return Ok(None) };
        document::find(gateway, caller, &id).await?.map(read).transpose()
    }

    /// Jobs that wait, run and have ended, newest first: 20, or `limit` of them, at most 100; `after` is
    /// the `next` of the page before.
    #[graphql(complexity = "limits::PAGE + child_complexity")]
    async fn jobs(&self, context: &Context<'_>, limit: Option<i32>, after: Option<String>) -> Result<Jobs, Error> {
        let Asked { gateway, caller, .. } = context.data()?;
        let page = Page { limit: limit.map(|limit| limit.to_string()), after };
        read(list::page(gateway, caller, page).await?)
    }

    /// What runs, and what is allowed.
    #[graphql(complexity = "limits::READ")]
    async fn capabilities(&self, context: &Context<'_>) -> Result<Json<Value>, Error> {
        let Asked { gateway, caller, .. } = context.data()?;
        Ok(Json(capabilities::now(gateway, caller).await?))
    }
}

struct Mutation;

/// What is to be done.
#[Object]
impl Mutation {
    /// Paints a text. With an `idempotencyKey` the same call sent twice is one job.
    #[graphql(complexity = "limits::PAGE + child_complexity")]
    async fn draw(
        &self,
        context: &Context<'_>,
        job: Draw,
        lane: Option<String>,
        idempotency_key: Option<String>,
    ) -> Result<Accepted, Error> {
        let Asked { gateway, caller, headers } = context.data()?;
        let mut headers = headers.clone();
        if let Some(key) = idempotency_key {
            let key = HeaderValue::from_str(&key)
                .map_err(|_| body::bad("idempotencyKey: only visible characters are allowed"))?;
            headers.insert(submit::IDEMPOTENCY_KEY, key);
        }
        let lane = submit::lane(caller, lane)?;
        submit::may_send(gateway, caller)?;
        let wish = parse::object(job.fields()?)?.checked(gateway.queue.steps(), caller)?;
        let sent = submit::take(gateway, caller, &headers, (lane, None), wish).await?;
        read(submit::told(gateway, caller, &sent, submit::is_named(&headers)).await)
    }

    /// Cancels a job: running work stops within a step.
    #[graphql(complexity = "limits::READ + child_complexity")]
    async fn cancel(&self, context: &Context<'_>, id: ID) -> Result<Canceled, Error> {
        let Asked { gateway, caller, .. } = context.data()?;
        read(cancel::request(gateway, caller, &id).await?)
    }

    /// Erases what is kept of a job that has ended, for good: recording, transcript, pictures, events, dead
    /// letters.
    #[graphql(complexity = "limits::PAGE + child_complexity")]
    async fn erase(&self, context: &Context<'_>, id: ID) -> Result<Erasure, Error> {
        let Asked { gateway, caller, .. } = context.data()?;
        read(erase::request(gateway, caller, &id).await?)
    }
}

struct Subscriptions;

/// What happens.
#[Subscription]
impl Subscriptions {
    /// The events of a job, from the first one on or behind the one with the sequence `after`, up to the
    /// final one.
    #[graphql(complexity = "limits::PAGE + child_complexity")]
    async fn events(
        &self,
        context: &Context<'_>,
        id: ID,
        after: Option<ID>,
    ) -> Result<BoxStream<'static, Result<Event, Error>>, Error> {
        let Asked { gateway, caller, .. } = context.data()?;
        let (id, last) = (document::parse(&id)?, after.and_then(|after| after.parse().ok()).unwrap_or(0));
        let following = Following::open(gateway.clone(), caller.clone(), id, last).await?;
        Ok(unfold(following, next).map_err(Error::from).boxed())
    }
}

async fn next(following: Option<Following>) -> Option<(Result<Event, ApiError>, Option<Following>)> {
    let mut following = following?;
    match following.next().await {
        Ok(news) => {
            let (sequence, kind, event) = events::read(&news?);
            let sequence = sequence.map(|sequence| sequence.to_string().into());
            Some((Ok(Event { sequence, kind, event: Json(event) }), Some(following)))
        }
        Err(error) => Some((Err(error), None)),
    }
}

/// A document of the other interfaces as a type of this one.
fn read<T: DeserializeOwned>(document: Value) -> Result<T, Error> {
    serde_json::from_value(document).map_err(|error| {
        tracing::error!(%error, "a document does not fit its type");
        Error::new("the answer has no such form")
    })
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::new(&error.message).extend_with(|_, extensions| {
            extensions.set("code", error.code);
            extensions.set("status", error.status.as_u16());
            if let Some(field) = &error.param {
                extensions.set("field", field.as_str());
            }
            if let Some(seconds) = error.retry_after {
                extensions.set("retryAfter", seconds);
            }
        })
    }
}
