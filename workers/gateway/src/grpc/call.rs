//! One call: from its request to its answer.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use futures::Stream;
use futures::stream::BoxStream;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{ClientStreamingService, Grpc, ServerStreamingService, UnaryService};
use tonic::{Code, Status, Streaming};

use super::status;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::guard::Meant;
use crate::keys::Caller;
use crate::room::Place;

/// A call, and who makes it.
pub(super) struct Asked<M> {
    pub(super) caller: Caller,
    pub(super) headers: HeaderMap,
    pub(super) place: Option<Arc<Place>>,
    pub(super) message: M,
}

impl<M> Asked<M> {
    fn of(request: tonic::Request<M>) -> Self {
        let (metadata, mut extensions, message) = request.into_parts();
        // Only calls that need no key come without a caller.
        let caller = extensions.remove::<Caller>().unwrap_or_else(Caller::guest);
        Self { caller, headers: metadata.into_headers(), place: extensions.remove(), message }
    }
}

/// Many messages out.
pub(super) struct Many<R>(pub(super) BoxStream<'static, Result<R, Status>>);

impl<R> Stream for Many<R> {
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// One message in, one out.
pub(super) fn unary<M, R, F>(handler: fn(Gateway, Asked<M>) -> F, largest: usize) -> MethodRouter<Gateway>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    post(async move |State(gateway): State<Gateway>, request: Request| {
        let call = Call(|asked| answer(handler(gateway.clone(), Asked::of(asked))));
        answered(grpc(largest).unary(call, request).await)
    })
}

/// One message in, many out.
pub(super) fn server_stream<M, R, F>(handler: fn(Gateway, Asked<M>) -> F, largest: usize) -> MethodRouter<Gateway>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
    F: Future<Output = Result<Many<R>, Status>> + Send + 'static,
{
    post(async move |State(gateway): State<Gateway>, request: Request| {
        let call = Call(|asked| answer(handler(gateway.clone(), Asked::of(asked))));
        answered(grpc(largest).server_streaming(call, request).await)
    })
}

/// Many messages in, one out.
pub(super) fn client_stream<M, R, F>(
    handler: fn(Gateway, Asked<Streaming<M>>) -> F,
    largest: usize,
) -> MethodRouter<Gateway>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    post(async move |State(gateway): State<Gateway>, request: Request| {
        let call = Call(|asked| answer(handler(gateway.clone(), Asked::of(asked))));
        answered(grpc(largest).client_streaming(call, request).await)
    })
}

async fn answer<T>(handled: impl Future<Output = Result<T, Status>>) -> Result<tonic::Response<T>, Status> {
    handled.await.map(tonic::Response::new)
}

fn grpc<M: Message + Default + 'static, R: Message + 'static>(largest: usize) -> Grpc<Plain<M, R>> {
    Grpc::new(Plain(PhantomData)).max_decoding_message_size(largest)
}

/// The refusal of a request that is no call of gRPC. Its answer would say how it went where no other client
/// looks: behind a body of nothing with the status 200.
pub(super) fn is_none(request: &Request) -> Option<Response> {
    let media = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let parts = media.split(|byte| b";+ ".contains(byte)).next().unwrap_or_default();
    let refused = |status, message| Some(ApiError::new(status, "no-grpc", message).into_response());
    if request.version() != Version::HTTP_2 {
        return refused(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC needs HTTP/2");
    }
    if !parts.eq_ignore_ascii_case(b"application/grpc") {
        let message = "Content-Type: only application/grpc is allowed";
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    }
    None
}

/// An answer, whose own status is always 200, with what it means.
pub(super) fn answered<B>(response: axum::http::Response<B>) -> Response
where
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let meant = Status::from_header_map(response.headers()).map(|refused| Meant(status::meant(refused.code())));
    let mut response = response.map(Body::new);
    if let Some(meant) = meant {
        response.extensions_mut().insert(meant);
    }
    response
}

/// A function as a service.
struct Call<F>(F);

impl<M, R, F, A> UnaryService<M> for Call<F>
where
    F: FnMut(tonic::Request<M>) -> A,
    A: Future<Output = Result<tonic::Response<R>, Status>>,
{
    type Response = R;
    type Future = A;

    fn call(&mut self, request: tonic::Request<M>) -> A {
        (self.0)(request)
    }
}

impl<M, R, F, A> ServerStreamingService<M> for Call<F>
where
    F: FnMut(tonic::Request<M>) -> A,
    A: Future<Output = Result<tonic::Response<Many<R>>, Status>>,
{
    type Response = R;
    type ResponseStream = Many<R>;
    type Future = A;

    fn call(&mut self, request: tonic::Request<M>) -> A {
        (self.0)(request)
    }
}

impl<M, R, F, A> ClientStreamingService<M> for Call<F>
where
    F: FnMut(tonic::Request<Streaming<M>>) -> A,
    A: Future<Output = Result<tonic::Response<R>, Status>>,
{
    type Response = R;
    type Future = A;

    fn call(&mut self, request: tonic::Request<Streaming<M>>) -> A {
        (self.0)(request)
    }
}

/// Messages as they are. What is no message is its sender's fault, and said so.
struct Plain<M, R>(PhantomData<(M, R)>);

impl<M: Message + Default + 'static, R: Message + 'static> Codec for Plain<M, R> {
    type Encode = R;
    type Decode = M;
    type Encoder = Plain<M, R>;
    type Decoder = Plain<M, R>;

    fn encoder(&mut self) -> Self::Encoder {
        Plain(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Plain(PhantomData)
    }
}

impl<M, R: Message> Encoder for Plain<M, R> {
    type Item = R;
    type Error = Status;

    fn encode(&mut self, message: R, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<M: Message + Default, R> Decoder for Plain<M, R> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        M::decode(from).map(Some).map_err(|error| Status::new(Code::InvalidArgument, error.to_string()))
    }
}
