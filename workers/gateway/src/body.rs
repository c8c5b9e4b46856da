//! Bodies of requests: never larger than allowed, never slower than a poor line.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::unfold;
use shanshui_pipeline::Code;

use crate::error::ApiError;
use crate::room::{Full, Place};

/// How slowly a body may come.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Longest wait for the next piece.
    piece: Duration,
    /// Time that every body has, whatever its size.
    grace: Duration,
    /// Bytes a second that a body comes at, at least.
    bytes: f64,
}

/// A poor line, and not a client that wants to hold a place.
const PACE: Pace = Pace { piece: Duration::from_secs(20), grace: Duration::from_secs(30), bytes: 16.0 * 1024.0 };
/// Most parts of a form.
const PARTS: usize = 100;
/// Largest part of a form that is no file.
const FIELD: usize = 1 << 20;
/// Most values of a JSON body: read, each takes some fifty bytes, whatever it took on the way.
const VALUES: usize = 100_000;

/// What was wrong with a body on its way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request is larger than {0} bytes, the most that is allowed")]
    TooLarge(usize),
    #[error("the request came too slowly")]
    TooSlow,
    #[error("too much is being sent at this moment")]
    Full,
}

/// The same body, which fails where it is too large or too slow, and counts in `place` as it comes.
pub(crate) fn watched(body: Body, limit: usize, place: Arc<Place>) -> Body {
    paced(body, limit, place, PACE)
}

fn paced(body: Body, limit: usize, place: Arc<Place>, pace: Pace) -> Body {
    let start = (body.into_data_stream(), 0_usize, Instant::now(), place);
    let pieces = unfold(Some(start), move |state| async move {
        let (mut pieces, had, began, place) = state?;
        let piece = match tokio::time::timeout(pace.piece, pieces.next()).await {
            Ok(piece) => piece?.map_err(axum::BoxError::from),
            Err(_) => Err(BodyError::TooSlow.into()),
        };
        let had = had + piece.as_ref().map_or(0, Bytes::len);
        let allowed = pace.grace + Duration::from_secs_f64(had as f64 / pace.bytes);
        let piece = match piece {
            Ok(_) if had > limit => Err(BodyError::TooLarge(limit).into()),
            Ok(_) if began.elapsed() > allowed => Err(BodyError::TooSlow.into()),
            Ok(piece) => place.grow(piece.len()).map(|()| piece).map_err(|Full| BodyError::Full.into()),
            piece => piece,
        };
        let rest = piece.is_ok().then_some((pieces, had, began, place));
        Some((piece, rest))
    });
    Body::from_stream(pieces)
}

/// All of a body. It keeps its place among the requests that are held as long as it is there.
pub(crate) async fn whole(request: Request) -> Result<Bytes, ApiError> {
    within(request, usize::MAX).await
}

async fn within(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let (place, mut all) = (place(&request), BytesMut::new());
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.map_err(|error| broken(&error))?);
        if all.len() > limit {
            return Err(too_large(&BodyError::TooLarge(limit)));
        }
    }
    Ok(kept(place.as_ref(), all.freeze()))
}

/// All of a JSON body, which has room to be read.
pub(crate) async fn json(request: Request) -> Result<Bytes, ApiError> {
    // The guard bounds it.
    json_within(request, usize::MAX).await
}

/// All of a JSON body that has a limit of its own.
pub(crate) async fn json_within(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let place = place(&request);
    let bytes = without_mark(within(request, limit).await?);
    few_values(&bytes)?;
    // Its strings are copied once, and what they encode once more.
    place.map_or(Ok(()), |place| place.grow(2 * bytes.len())).map_err(|Full| busy())?;
    Ok(bytes)
}

/// What .NET and PowerShell write before a text in UTF-8 is no part of it (RFC 8259, section 8.1).
fn without_mark(json: Bytes) -> Bytes {
    let length = if json.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    json.slice(length..)
}

/// Whether JSON is small enough to be read.
pub(crate) fn few_values(json: &[u8]) -> Result<(), ApiError> {
    let values = json.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > VALUES {
        return Err(bad(format!("body: {values} values are not allowed; allowed: {VALUES}")));
    }
    Ok(())
}

/// The place of a request.
pub(crate) fn place(request: &Request) -> Option<Arc<Place>> {
    request.extensions().get::<Arc<Place>>().cloned()
}

/// The same bytes, which keep the place.
pub(crate) fn kept(place: Option<&Arc<Place>>, bytes: Bytes) -> Bytes {
    match place {
        Some(place) => place.keep(bytes),
        None => bytes,
    }
}

/// A form with files.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// The file, and what its sender calls it.
    pub(crate) file: Option<Bytes>,
    /// All other parts, in their order.
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// Reads a `multipart/form-data`; the parts that `files` names are files.
    pub(crate) async fn read(request: Request, files: &[&str]) -> Result<Self, ApiError> {
        let place = place(&request);
        let multipart = Multipart::from_request(request, &()).await;
        let mut multipart = multipart.map_err(|_| {
            bad("Content-Type: only multipart/form-data with a boundary is allowed").about("Content-Type")
        })?;
        let mut form = Self::default();
        while let Some(part) = multipart.next_field().await.map_err(|error| broken(&error))? {
            if form.fields.len() >= PARTS {
                return Err(bad("the form has more than 100 parts"));
            }
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(|error| broken(&error))?;
            if files.contains(&name.as_str()) {
                if form.file.is_some() {
                    return Err(bad(format!("{name}: two files are not allowed; allowed: one")).about(&name));
                }
                form.file = Some(kept(place.as_ref(), bytes));
                continue;
            }
            let text = (bytes.len() <= FIELD).then(|| String::from_utf8(bytes.to_vec()).ok()).flatten();
            let text = text.ok_or_else(|| bad("a part of the form is no text, or longer than 1 MiB").about(&name))?;
            form.fields.push((name, text));
        }
        Ok(form)
    }

    /// The value of a part.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a part.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A body that cannot be read.
pub(crate) fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, Code::BadInput.as_str(), message)
}

/// What was wrong with a body on its way, whatever read it.
pub(crate) fn broken(error: &(dyn Error + 'static)) -> ApiError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(large @ BodyError::TooLarge(_)) => return too_large(large),
            Some(slow @ BodyError::TooSlow) => {
                return ApiError::new(StatusCode::REQUEST_TIMEOUT, "too-slow", slow.to_string());
            }
            Some(BodyError::Full) => return busy(),
            None => cause = error.source(),
        }
    }
    bad(format!("cannot read the request: {error}"))
}

/// No room for more bytes now.
pub(crate) fn busy() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", BodyError::Full.to_string()).after(2)
}

pub(crate) fn too_large(error: &BodyError) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge.as_str(), error.to_string())
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::room::Room;

    const QUICK: Pace = Pace { piece: Duration::from_millis(80), grace: Duration::from_millis(200), bytes: 1000.0 };

    /// A body of so many pieces of ten bytes, each after a pause.
    fn dripping(pieces: usize, pause: u64) -> Body {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 10]))
        });
        Body::from_stream(pieces)
    }

    async fn said(body: Body, limit: usize) -> Result<usize, serde_json::Value> {
        let place = Room::new(1, false).place("");
        let read = whole(Request::new(paced(body, limit, place, QUICK))).await;
        read.map(|bytes| bytes.len()).map_err(|error| error.value()["error"]["code"].clone())
    }

    #[tokio::test]
    async fn s20_a_body_may_neither_stop_nor_drip_nor_grow_without_end() {
        assert_eq!(said(dripping(5, 1), 50).await, Ok(50));
        assert_eq!(said(dripping(6, 1), 50).await, Err("too-large".into()));
        assert_eq!(said(dripping(2, 300), 50).await, Err("too-slow".into()));
        assert_eq!(said(dripping(100, 30), 5000).await, Err("too-slow".into()));
    }
}
