//! Jobs over gRPC (`proto/shanshui.proto`): the functions of `/v1/jobs`, on the same port.

mod call;
mod health;
mod message;
mod status;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream::{once, unfold};
use futures::{StreamExt, TryStreamExt};
use rmpv::Value as Fields;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::{Status, Streaming};

use crate::body::{self, BodyError};
use crate::capabilities;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::guard;
use crate::jobs::events::Following;
use crate::jobs::list::Page;
use crate::jobs::parse::{self, Wish};
use crate::jobs::{cancel, document, erase, events, list, objects, submit};
use crate::keys::Caller;
use crate::room::{Full, Place};
use crate::speak::GROWS;
use call::{Asked, Many, client_stream, server_stream, unary};
use message::{Pairs, recording_part, submit_request};

/// What reflection tells: made of the `.proto` by protoc, which a test does again.
const DESCRIPTORS: &[u8] = include_bytes!("../proto/shanshui.binpb");
/// Largest message of a client: of any call, of a piece of sound, and of a submission.
const LARGEST: [usize; 3] = [64 << 10, 1 << 20, 4 << 20];

/// All calls, behind their guards.
pub(crate) fn routes(gateway: &Gateway) -> Router<Gateway> {
    let jobs = Router::new()
        .route("/shanshui.v1.Jobs/Submit", unary(submit, LARGEST[2]))
        .route("/shanshui.v1.Jobs/SubmitRecording", client_stream(submit_recording, LARGEST[1]))
        .route("/shanshui.v1.Jobs/Get", unary(get, LARGEST[0]))
        .route("/shanshui.v1.Jobs/Cancel", unary(cancel, LARGEST[0]))
        .route("/shanshui.v1.Jobs/Erase", unary(erase, LARGEST[0]))
        .route("/shanshui.v1.Jobs/Follow", server_stream(follow, LARGEST[0]))
        .route("/shanshui.v1.Jobs/Picture", server_stream(picture, LARGEST[0]))
        .route("/shanshui.v1.Jobs/List", unary(list, LARGEST[0]))
        .route("/shanshui.v1.Jobs/Capabilities", unary(capabilities, LARGEST[0]))
        .layer(from_fn_with_state(gateway.clone(), with_key));
    // As `/openapi.json` and `/readyz` these need no key.
    let health = Router::new()
        .route("/grpc.health.v1.Health/Check", unary(health::check, LARGEST[0]))
        .route("/grpc.health.v1.Health/Watch", server_stream(health::watch, LARGEST[0]))
        .layer(from_fn_with_state(gateway.clone(), without_key));
    jobs.merge(health).merge(reflection(gateway))
}

fn reflection(gateway: &Gateway) -> Router<Gateway> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut router = Router::new();
    // The descriptors are part of the program, and a test reads them.
    if let Ok(service) = builder().build_v1() {
        let service = service.max_decoding_message_size(LARGEST[0]);
        router = router.route_service("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", service);
    }
    if let Ok(service) = builder().build_v1alpha() {
        let service = service.max_decoding_message_size(LARGEST[0]);
        router = router.route_service("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", service);
    }
    router.layer(from_fn_with_state(gateway.clone(), without_key))
}

/// What all requests pass through, with refusals in the form of gRPC.
async fn with_key(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    if let Some(refused) = call::is_none(&request) {
        return refused;
    }
    let admitted = guard::admit(&gateway, &mut request);
    pass(admitted, request, next).await
}

async fn without_key(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    if let Some(refused) = call::is_none(&request) {
        return refused;
    }
    let held = guard::hold(&gateway, &Caller::guest(), &mut request);
    pass(held, request, next).await
}

async fn pass(admitted: Result<(), ApiError>, request: Request, next: Next) -> Response {
    if let Err(error) = admitted {
        return call::answered(Status::from(error).into_http::<Body>());
    }
    let said = |error: axum::Error| Status::from(body::broken(&error));
    let request = request.map(|whole| Body::from_stream(whole.into_data_stream().map_err(said)));
    next.run(request).await
}

async fn submit(gateway: Gateway, asked: Asked<message::SubmitRequest>) -> Result<message::SubmitReply, Status> {
    let Asked { caller, place, message, .. } = &asked;
    let (lane, mut fields) = begin(&gateway, (caller, place), message.settings.as_ref())?;
    let wish = match message.of.clone() {
        Some(submit_request::Of::Recording(sound)) => recorded(sound, fields)?,
        Some(submit_request::Of::Text(text)) => {
            fields.push(("text".into(), text.into()));
            parse::object(Fields::Map(fields))?
        }
        None => parse::object(Fields::Map(fields))?,
    };
    send(&gateway, &asked, lane, wish).await
}

async fn submit_recording(
    gateway: Gateway,
    mut asked: Asked<Streaming<message::RecordingPart>>,
) -> Result<message::SubmitReply, Status> {
    let (limit, mut sound, mut begun) = (gateway.options.max_body(), BytesMut::new(), None);
    while let Some(part) = asked.message.message().await? {
        let piece = match (part.of, &begun) {
            (Some(recording_part::Of::Settings(settings)), None) => {
                begun = Some(begin(&gateway, (&asked.caller, &asked.place), Some(&settings))?);
                continue;
            }
            (Some(recording_part::Of::Sound(piece)), _) => piece,
            _ => Err(body::bad("settings: they come in the first part, once").about("settings"))?,
        };
        if begun.is_none() {
            begun = Some(begin(&gateway, (&asked.caller, &asked.place), None)?);
        }
        if sound.len() + piece.len() > limit {
            Err(body::too_large(&BodyError::TooLarge(limit)))?;
        }
        sound.extend_from_slice(&piece);
    }
    let (lane, fields) = begun.map_or_else(|| begin(&gateway, (&asked.caller, &asked.place), None), Ok)?;
    let wish = recorded(sound.freeze(), fields)?;
    send(&gateway, &asked, lane, wish).await
}

/// Whether the caller may send a job with these settings: its lane, and the fields of the job.
fn begin(
    gateway: &Gateway,
    (caller, place): (&Caller, &Option<Arc<Place>>),
    settings: Option<&Bytes>,
) -> Result<(String, Pairs), ApiError> {
    // They are held, many times as large, until the last of a recording has come.
    let grown = place.as_ref().zip(settings).map(|(place, settings)| place.grow(GROWS * settings.len()));
    grown.transpose().map_err(|Full| body::busy())?;
    let (lane, fields) = message::Settings::read(settings)?;
    let lane = submit::lane(caller, lane)?;
    submit::may_send(gateway, caller)?;
    Ok((lane, fields))
}

fn recorded(sound: Bytes, fields: Pairs) -> Result<Wish, ApiError> {
    Ok(Wish::Audio(parse::recorded(sound, Fields::Map(fields))?))
}

async fn send<M>(
    gateway: &Gateway,
    asked: &Asked<M>,
    lane: String,
    mut wish: Wish,
) -> Result<message::SubmitReply, Status> {
    let Asked { caller, headers, place, .. } = asked;
    wish.hold(gateway, place.clone())?;
    let wish = wish.checked(gateway.queue.steps(), caller)?;
    let sent = submit::take(gateway, caller, headers, (lane, None), wish).await?;
    read(submit::told(gateway, caller, &sent, submit::is_named(headers)).await)
}

async fn get(gateway: Gateway, asked: Asked<message::GetRequest>) -> Result<told::Job, Status> {
    let id = document::parse(&asked.message.id)?;
    let found = document::find(&gateway, &asked.caller, &id).await?;
    read(found.ok_or_else(|| ApiError::unknown_job(&id))?)
}

async fn cancel(gateway: Gateway, asked: Asked<message::CancelRequest>) -> Result<message::CancelReply, Status> {
    read(cancel::request(&gateway, &asked.caller, &asked.message.id).await?)
}

async fn erase(gateway: Gateway, asked: Asked<message::EraseRequest>) -> Result<told::EraseReply, Status> {
    read(erase::request(&gateway, &asked.caller, &asked.message.id).await?)
}

async fn list(gateway: Gateway, asked: Asked<message::ListRequest>) -> Result<told::ListReply, Status> {
    let page = Page { limit: asked.message.limit.map(|limit| limit.to_string()), after: asked.message.after };
    read(list::page(&gateway, &asked.caller, page).await?)
}

async fn capabilities(
    gateway: Gateway,
    asked: Asked<message::CapabilitiesRequest>,
) -> Result<message::CapabilitiesReply, Status> {
    let json = capabilities::now(&gateway, &asked.caller).await?.to_string();
    Ok(message::CapabilitiesReply { json })
}

async fn follow(gateway: Gateway, asked: Asked<message::FollowRequest>) -> Result<Many<message::Event>, Status> {
    let id = document::parse(&asked.message.id)?;
    let following = Following::open(gateway, asked.caller, id, asked.message.after).await?;
    let events = unfold(following, |following| async move {
        let mut following = following?;
        match following.next().await {
            Ok(news) => {
                let (sequence, kind, event) = events::read(&news?);
                let sequence = sequence.unwrap_or_default();
                Some((Ok(message::Event { sequence, kind, json: event.to_string() }), Some(following)))
            }
            Err(error) => Some((Err(error.into()), None)),
        }
    });
    Ok(Many(events.boxed()))
}

async fn picture(
    gateway: Gateway,
    asked: Asked<message::PictureRequest>,
) -> Result<Many<message::PicturePart>, Status> {
    let message::PictureRequest { id, index } = &asked.message;
    let (_, picture) = objects::find(&gateway, &asked.caller, id, &index.to_string()).await?;
    let reading = objects::open(&gateway, &picture.key, Some(&picture.sha256)).await?;
    let info = message::PictureInfo {
        r#type: objects::media_type(&picture.key).to_owned(),
        sha256: picture.sha256,
        length: reading.length.unwrap_or_default(),
    };
    let first = message::PicturePart { info: Some(info), bytes: Bytes::new() };
    let rest = reading.pieces.map(|piece| match piece {
        Ok(bytes) => Ok(message::PicturePart { info: None, bytes }),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a picture broke off");
            Err(Status::unavailable("the object store broke off; trying again may help"))
        }
    });
    Ok(Many(once(std::future::ready(Ok(first))).chain(rest).boxed()))
}

/// A document of the other interfaces as a message.
fn read<M: DeserializeOwned>(document: Value) -> Result<M, Status> {
    serde_json::from_value(document).map_err(|error| {
        tracing::error!(%error, "a document does not fit its message");
        Status::internal("the answer has no such form")
    })
}
