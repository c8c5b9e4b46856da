//! Files of models: gigabytes, which travel in parts so that no request has to be long.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::answer::Answer;
use super::{ObjectKey, SHA256, Store};
use crate::failure::{Failure, OrFailure};

/// Bytes of a part. S3 takes at most 10,000 parts of at least 5 MiB.
const PART: u64 = 8 << 20;
/// Parts that are under way at a time.
const AT_ONCE: usize = 4;

impl Store {
    /// Writes an object, whatever lies there.
    ///
    /// # Errors
    /// A store that does not answer, or not to us.
    pub async fn replace(&self, key: &ObjectKey<'_>, body: Bytes, sha256: &str) -> Result<(), Failure> {
        let path = key.path();
        let request = self.client.put_object().bucket(&*self.bucket).key(self.full_key(&path));
        let request = request.content_type(key.content_type()).metadata(SHA256, sha256).body(body.into());
        let sent = request.send().await;
        sent.map(drop).map_err(|error| Answer::of(&error).failure(&format!("put {}", self.name(&path))))
    }

    /// Writes the file at `from` as an object, whatever lies there; `told` hears of each part's bytes.
    ///
    /// # Errors
    /// A file that cannot be read; a store that does not answer, or not to us.
    pub async fn put_file(
        &self,
        key: &ObjectKey<'_>,
        (from, sha256): (&Path, &str),
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Failure> {
        let open = || File::open(from).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = open().with_context(|| format!("cannot read {}", from.display())).or_reject()?;
        let file = Arc::new(file);
        if bytes <= PART {
            let body = read_part(&file, 0, bytes).await?;
            self.replace(key, body, sha256).await?;
            told(bytes);
            return Ok(());
        }
        let path = key.path();
        let upload = self.begin(key, sha256).await?;
        let parts = stream::iter((0..bytes.div_ceil(PART)).map(|index| self.put_part((&path, &upload), &file, index)));
        let sent = parts.buffered(AT_ONCE).inspect_ok(|(_, sent)| told(*sent));
        let done = match sent.map_ok(|(part, _)| part).try_collect().await {
            Ok(parts) => self.complete(&path, &upload, parts).await,
            Err(failure) => Err(failure),
        };
        if done.is_err() {
            // Parts of an upload that nobody completes are paid for.
            let abort = self.client.abort_multipart_upload().bucket(&*self.bucket).key(self.full_key(&path));
            let _ = abort.upload_id(&upload).send().await;
        }
        done
    }

    /// Appends to `into` what is missing of the object at `path`, which has `bytes` bytes; `told` hears of
    /// each part's bytes.
    ///
    /// # Errors
    /// An object that is missing or of another size; a file that cannot be written; a store that does
    /// not answer, or not to us.
    pub async fn get_file(
        &self,
        path: &str,
        (into, bytes): (&mut File, u64),
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Failure> {
        let at = into.seek(SeekFrom::End(0)).or_reject()?;
        let starts = (0..).map(|index| at + index * PART).take_while(|start| *start < bytes);
        let parts = stream::iter(starts.map(|start| self.get_part(path, start, PART.min(bytes - start))));
        let mut parts = parts.buffered(AT_ONCE);
        while let Some(part) = parts.try_next().await? {
            into.write_all(&part).context("cannot write the model's file").or_reject()?;
            told(part.len() as u64);
        }
        Ok(())
    }

    async fn begin(&self, key: &ObjectKey<'_>, sha256: &str) -> Result<String, Failure> {
        let path = key.path();
        let request = self.client.create_multipart_upload().bucket(&*self.bucket).key(self.full_key(&path));
        let begun = request.content_type(key.content_type()).metadata(SHA256, sha256).send().await;
        let begun = begun.map_err(|error| Answer::of(&error).failure(&format!("put {}", self.name(&path))))?;
        begun.upload_id().map(str::to_owned).context("the store began an upload without an id").or_retry()
    }

    async fn put_part(
        &self,
        (path, upload): (&str, &str),
        file: &Arc<File>,
        index: u64,
    ) -> Result<(CompletedPart, u64), Failure> {
        let start = index * PART;
        let size = PART.min(file.metadata().or_reject()?.len().saturating_sub(start));
        let body = read_part(file, start, size).await?;
        let number = i32::try_from(index + 1).context("more parts than S3 takes").or_reject()?;
        let request = self.client.upload_part().bucket(&*self.bucket).key(self.full_key(path));
        let sent = request.upload_id(upload).part_number(number).body(body.into()).send().await;
        let sent = sent.map_err(|error| Answer::of(&error).failure(&format!("put {}", self.name(path))))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag().map(str::to_owned));
        Ok((part.build(), size))
    }

    async fn complete(&self, path: &str, upload: &str, parts: Vec<CompletedPart>) -> Result<(), Failure> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&*self.bucket).key(self.full_key(path));
        let done = request.upload_id(upload).multipart_upload(parts).send().await;
        done.map(drop).map_err(|error| Answer::of(&error).failure(&format!("put {}", self.name(path))))
    }

    async fn get_part(&self, path: &str, start: u64, size: u64) -> Result<Bytes, Failure> {
        let reading = async {
            let object = self.open_range(path, Some(format!("bytes={start}-{}", start + size - 1))).await?;
            let mut part = Vec::with_capacity(size as usize);
            self.each_chunk(path, object, |chunk| {
                part.extend_from_slice(chunk);
                Ok(())
            })
            .await?;
            if part.len() as u64 != size {
                return Err(anyhow!("get {}: {} bytes came, not {size}", self.name(path), part.len())).or_retry();
            }
            Ok(part.into())
        };
        self.in_time(path, reading).await
    }
}

async fn read_part(file: &Arc<File>, start: u64, size: u64) -> Result<Bytes, Failure> {
    let file = Arc::clone(file);
    let read = move || {
        let mut part = vec![0; size as usize];
        file.read_exact_at(&mut part, start).map(|()| Bytes::from(part))
    };
    let read = tokio::task::spawn_blocking(read).await.or_retry()?;
    read.context("cannot read the model's file").or_reject()
}
