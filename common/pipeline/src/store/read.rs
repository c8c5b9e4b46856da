//! Objects that are passed on as they come, without holding them.

use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use futures::Stream;
use futures::stream::unfold;

use super::{SHA256, Store, is_sha256};
use crate::causes::causes_of;
use crate::failure::Failure;

/// Longest wait for the next piece of an object.
const PIECE: Duration = Duration::from_secs(30);

/// An object that is being read.
pub struct Reading<S> {
    /// Its size in bytes, if the store said so.
    pub length: Option<u64>,
    /// Its SHA-256 as it was noted when it was written.
    pub sha256: Option<String>,
    /// Its bytes, piece by piece.
    pub pieces: S,
}

impl Store {
    /// Opens the object at `path`, a key below the store's prefix.
    ///
    /// # Errors
    /// As [`Store::get`]; what goes wrong later is an error among the pieces.
    pub async fn read(
        &self,
        path: &str,
    ) -> Result<Reading<impl Stream<Item = anyhow::Result<Bytes>> + Send + use<>>, Failure> {
        let object = self.open_object(path).await?;
        let length = object.content_length().and_then(|length| length.try_into().ok());
        let noted = object.metadata().and_then(|metadata| metadata.get(SHA256));
        let sha256 = noted.filter(|noted| is_sha256(noted)).cloned();
        let name = self.name(path);
        let pieces = unfold(Some(object.body), move |body| {
            let name = name.clone();
            async move {
                let mut body = body?;
                match tokio::time::timeout(PIECE, body.next()).await {
                    Ok(None) => None,
                    Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
                    Ok(Some(Err(error))) => Some((Err(anyhow!("get {name}: broke off: {}", causes_of(&error))), None)),
                    Err(_) => Some((Err(anyhow!("get {name}: nothing came for {} s", PIECE.as_secs())), None)),
                }
            }
        });
        Ok(Reading { length, sha256, pieces })
    }
}
