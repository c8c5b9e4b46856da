//! Objects in one S3 bucket. The first writer of a key wins; everybody else learns what is there.

mod answer;
mod client;
mod erase;
mod files;
mod foreign;
mod read;
mod start;
mod within;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::causes::causes_of;
use crate::code::Code;
use crate::failure::{Failure, OrFailure};
use crate::id::{hex, sha256_hex};
pub use crate::key::{ObjectKey, is_model_name};
use crate::made::MadeObject;
use crate::telemetry::phase;
use answer::Answer;
pub use foreign::{Listed, Look, Writing};
pub use read::Reading;

/// Name of the user metadata that holds an object's SHA-256 in hexadecimal.
const SHA256: &str = "sha256";
/// Most bytes set aside for an object before any of it has arrived.
const TRUSTED_SIZE: u64 = 1 << 20;

/// An S3 client that knows its bucket; cheap to clone.
///
/// Its credentials need `s3:GetObject`, `s3:PutObject` and `s3:ListBucket`: without the last one
/// S3 answers 403 for an object that does not exist, which is then taken for an outage.
#[derive(Clone)]
pub struct Store {
    client: Client,
    bucket: Arc<str>,
    prefix: Arc<str>,
    place: Arc<str>,
    operation_time: Duration,
    /// The store honours `If-None-Match: *`.
    conditional: bool,
    /// It is spoken to without TLS.
    plain: bool,
}

/// An object that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its key below the store's prefix; what [`Store::get`] takes.
    pub key: String,
    /// SHA-256 of its bytes in lower-case hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// It was there before this call.
    pub existed: bool,
}

impl Stored {
    /// The object as a receipt lists it.
    pub fn object(&self, kind: &str) -> MadeObject {
        let (key, sha256) = (self.key.clone(), self.sha256.clone());
        MadeObject { kind: kind.into(), key, sha256, bytes: Some(self.bytes) }
    }
}

impl Store {
    /// The same store over connections of its own, for a thread that is not to wait for others.
    pub(crate) fn apart(&self) -> Self {
        Self { client: client::apart(&self.client, self.plain), ..self.clone() }
    }

    /// Writes an object unless its key is taken; then says what lies there. A retry after a
    /// lost response and the loser of a race both end this way, with the winner's hash.
    ///
    /// A store without conditional writes is asked first and written to second: a race of two
    /// writers is then won by the last one, which is why all writers of a key must be able to
    /// write only the same bytes.
    pub async fn put(&self, key: &ObjectKey<'_>, body: Bytes) -> Result<Stored, Failure> {
        self.put_now(key, body).instrument(phase("upload")).await
    }

    async fn put_now(&self, key: &ObjectKey<'_>, body: Bytes) -> Result<Stored, Failure> {
        if !self.conditional
            && let Some(existing) = self.find(key).await?
        {
            return Ok(existing);
        }
        let (path, bytes) = (key.path(), body.len() as u64);
        let sha256 = sha256_hex(&body);
        match self.put_request(key, body, &sha256).send().await {
            Ok(_) => Ok(Stored { key: path, sha256, bytes, existed: false }),
            Err(error) => match Answer::of(&error) {
                answer if answer.is_taken() => self.winner(path).await,
                answer => Err(answer.failure(&format!("put {}", self.name(&path)))),
            },
        }
    }

    /// Reads a whole object. `path` is a key below the store's prefix.
    ///
    /// An object that does not exist or is larger than `limit` bytes is a [`Failure::Reject`];
    /// a store that does not answer, or not to us, is a [`Failure::Outage`].
    pub async fn get(&self, path: &str, limit: u64) -> Result<Bytes, Failure> {
        let reading = async {
            let object = self.open_object(path).await?;
            let size = object.content_length().unwrap_or(0).try_into().unwrap_or(0);
            self.check_size(path, size, limit)?;
            let mut bytes = BytesMut::with_capacity(size.min(TRUSTED_SIZE) as usize);
            self.each_chunk(path, object, |chunk| {
                // The header may have lied.
                self.check_size(path, (bytes.len() + chunk.len()) as u64, limit)?;
                bytes.extend_from_slice(chunk);
                Ok(())
            })
            .await?;
            Ok(bytes.freeze())
        };
        self.in_time(path, reading).instrument(phase("fetch")).await
    }

    /// What lies at `key`, if anything.
    pub async fn find(&self, key: &ObjectKey<'_>) -> Result<Option<Stored>, Failure> {
        let path = key.path();
        let head = self.client.head_object().bucket(&*self.bucket).key(self.full_key(&path));
        match head.send().await {
            Ok(head) => self.described(path, head).await.map(Some),
            Err(error) => match Answer::of(&error) {
                answer if answer.is_missing() => Ok(None),
                answer => Err(answer.failure(&format!("head {}", self.name(&path)))),
            },
        }
    }

    fn put_request(&self, key: &ObjectKey<'_>, body: Bytes, sha256: &str) -> PutObjectFluentBuilder {
        let request = self.client.put_object().bucket(&*self.bucket).key(self.full_key(&key.path()));
        let request = request.content_type(key.content_type()).metadata(SHA256, sha256).body(body.into());
        if self.conditional { request.if_none_match("*") } else { request }
    }

    /// The object that kept us from writing `path`.
    async fn winner(&self, path: String) -> Result<Stored, Failure> {
        let head = self.client.head_object().bucket(&*self.bucket).key(self.full_key(&path));
        match head.send().await {
            Ok(head) => self.described(path, head).await,
            Err(error) => match Answer::of(&error) {
                answer if answer.is_missing() => {
                    Err(anyhow!("{} was taken and is gone again", self.name(&path))).or_retry()
                }
                answer => Err(answer.failure(&format!("head {}", self.name(&path)))),
            },
        }
    }

    async fn described(&self, key: String, head: HeadObjectOutput) -> Result<Stored, Failure> {
        let bytes = head.content_length().unwrap_or(0).try_into().unwrap_or(0);
        let noted = head.metadata().and_then(|metadata| metadata.get(SHA256));
        let sha256 = match noted {
            Some(sha256) if is_sha256(sha256) => sha256.clone(),
            _ => self.in_time(&key, self.hash(&key)).await?,
        };
        Ok(Stored { key, sha256, bytes, existed: true })
    }

    async fn hash(&self, path: &str) -> Result<String, Failure> {
        let object = self.open_object(path).await?;
        let mut hash = Sha256::new();
        self.each_chunk(path, object, |chunk| {
            hash.update(chunk);
            Ok(())
        })
        .await?;
        Ok(hex(&hash.finalize()))
    }

    async fn open_object(&self, path: &str) -> Result<GetObjectOutput, Failure> {
        self.open_range(path, None).await
    }

    async fn open_range(&self, path: &str, range: Option<String>) -> Result<GetObjectOutput, Failure> {
        let request = self.client.get_object().bucket(&*self.bucket).key(self.full_key(path));
        request.set_range(range).send().await.map_err(|error| {
            let (answer, action) = (Answer::of(&error), format!("get {}", self.name(path)));
            if answer.is_missing() {
                return Failure::reject(Code::NotFound, format!("{action}: no such object"));
            }
            answer.failure(&action)
        })
    }

    async fn each_chunk(
        &self,
        path: &str,
        mut object: GetObjectOutput,
        mut take: impl FnMut(&Bytes) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while let Some(chunk) = object.body.next().await {
            let chunk = chunk.map_err(|error| {
                let said = causes_of(&error);
                Failure::Outage(anyhow!("get {}: broke off: {said}", self.name(path)))
            })?;
            take(&chunk)?;
        }
        Ok(())
    }

    /// The client's own time-out ends with the headers of a response; this one covers its body.
    async fn in_time<T>(&self, path: &str, reading: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let seconds = self.operation_time.as_secs();
        let late = || anyhow!("get {}: not complete after {seconds} s", self.name(path));
        let result = tokio::time::timeout(self.operation_time, reading).await;
        result.map_err(|_| late()).or_outage()?
    }

    fn check_size(&self, path: &str, size: u64, limit: u64) -> Result<(), Failure> {
        if size <= limit {
            return Ok(());
        }
        let reason = format!("{} has {size} bytes or more; allowed: at most {limit}", self.name(path));
        Err(Failure::reject(Code::TooLarge, reason))
    }

    fn full_key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    fn name(&self, path: &str) -> String {
        format!("s3 object {}/{}{path}", self.bucket, self.prefix)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would print its whole configuration.
        f.debug_struct("Store").field("place", &self.place).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
