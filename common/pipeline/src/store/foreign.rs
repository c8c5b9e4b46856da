//! Objects by their full keys, whoever put them there: recordings that somebody dropped, and what is
//! written beside them. Everything else in the store goes by the keys of jobs.

use std::collections::HashMap;

use aws_sdk_s3::types::MetadataDirective;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{ObjectKey, SHA256, Store, answer::Answer};
use crate::failure::Failure;
use crate::id::sha256_hex;

/// What stays as it is in the address of an object that is copied.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An object as the store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its whole key.
    pub key: String,
    /// Its version, where the bucket keeps versions.
    pub version: Option<String>,
    /// Its ETag, as the store writes it.
    pub etag: String,
    /// When it was written, in Unix seconds.
    pub modified: i64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, if a pipeline wrote it.
    pub sha256: Option<String>,
    /// What its writer noted.
    pub metadata: HashMap<String, String>,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Its whole key.
    pub key: String,
    /// Its ETag, as the store writes it.
    pub etag: String,
    /// When it was written, in Unix milliseconds.
    pub modified: i64,
}

/// Something to write.
#[derive(Debug, Clone)]
pub struct Writing<'a> {
    /// The whole key.
    pub key: &'a str,
    /// The bytes.
    pub body: Bytes,
    /// Their media type.
    pub content_type: &'a str,
    /// One note, name and value, both ASCII.
    pub note: (&'a str, &'a str),
}

impl Store {
    /// Another bucket of the same store, with whole keys.
    pub fn bucket(&self, bucket: &str) -> Self {
        Self { bucket: bucket.into(), prefix: "".into(), ..self.clone() }
    }

    /// What lies at a whole key, if anything.
    pub async fn look(&self, key: &str, version: Option<&str>) -> Result<Option<Look>, Failure> {
        let head = self.client.head_object().bucket(&*self.bucket).key(key);
        let head = match head.set_version_id(version.map(str::to_owned)).send().await {
            Ok(head) => head,
            Err(error) => {
                return match Answer::of(&error) {
                    answer if answer.is_missing() => Ok(None),
                    answer => Err(answer.failure(&format!("head s3 object {}/{key}", self.bucket))),
                };
            }
        };
        let metadata = head.metadata().cloned().unwrap_or_default();
        Ok(Some(Look {
            key: key.to_owned(),
            version: head.version_id().filter(|version| *version != "null").map(str::to_owned),
            etag: head.e_tag().unwrap_or_default().to_owned(),
            modified: head.last_modified().map_or(0, |time| time.secs()),
            bytes: head.content_length().unwrap_or(0).try_into().unwrap_or(0),
            sha256: metadata.get(SHA256).cloned(),
            metadata,
        }))
    }

    /// The next objects below a prefix, by key, after `after`; empty at the end.
    pub async fn page(&self, prefix: &str, after: Option<String>) -> Result<Vec<Listed>, Failure> {
        let list = self.client.list_objects_v2().bucket(&*self.bucket).prefix(prefix);
        let page = list.set_start_after(after.clone()).send().await;
        let page = page.map_err(|error| Answer::of(&error).failure(&format!("list {}/{prefix}", self.bucket)))?;
        let listed = page.contents().iter().filter_map(|object| {
            let (key, etag) = (object.key()?.to_owned(), object.e_tag().unwrap_or_default().to_owned());
            let modified = object.last_modified().and_then(|time| time.to_millis().ok()).unwrap_or(0);
            // Some stores give back the key that the list was to start after.
            (Some(&key) > after.as_ref()).then_some(Listed { key, etag, modified })
        });
        Ok(listed.collect())
    }

    /// Has the store copy an object, as it was looked at, to a key of this one; the bytes stay in the
    /// store. `false` if it does not: the object is another one now, or gone, or the store cannot.
    pub async fn copy(&self, from: &Store, look: &Look, to: &ObjectKey<'_>) -> Result<bool, Failure> {
        let mut source = format!("{}/{}", from.bucket, utf8_percent_encode(&look.key, PLAIN));
        if let Some(version) = &look.version {
            source = format!("{source}?versionId={}", utf8_percent_encode(version, PLAIN));
        }
        let request = self.client.copy_object().bucket(&*self.bucket).key(self.full_key(&to.path()));
        let request = request.copy_source(source).copy_source_if_match(&look.etag);
        // What its sender noted is nobody's word here, least of all a hash.
        let request = request.metadata_directive(MetadataDirective::Replace).content_type(to.content_type());
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match Answer::of(&error) {
                answer if answer.is_missing() || answer.is_taken() || answer.status == Some(501) => Ok(false),
                answer => Err(answer.failure(&format!("copy s3 object {}/{}", from.bucket, look.key))),
            },
        }
    }

    /// Writes an object, whatever lies there.
    pub async fn overwrite(&self, writing: Writing<'_>) -> Result<(), Failure> {
        let Writing { key, body, content_type, note } = writing;
        let request = self.client.put_object().bucket(&*self.bucket).key(key).content_type(content_type);
        let request = request.metadata(note.0, note.1).metadata(SHA256, sha256_hex(&body));
        let sent = request.body(body.into()).send().await;
        sent.map(drop).map_err(|error| Answer::of(&error).failure(&format!("put s3 object {}/{key}", self.bucket)))
    }

    /// Removes an object, if there is one.
    pub async fn remove(&self, key: &str) -> Result<(), Failure> {
        let sent = self.client.delete_object().bucket(&*self.bucket).key(key).send().await;
        sent.map(drop).map_err(|error| Answer::of(&error).failure(&format!("delete s3 object {}/{key}", self.bucket)))
    }
}
