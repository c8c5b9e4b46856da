//! Before the first job: is the bucket there, may we use it, what can it do?

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use super::{Answer, Store, client};
use crate::config::S3Options;
use crate::failure::Failure;

/// Pause between two looks for a store that is away; each look has its own growing pauses.
const PAUSE: Duration = Duration::from_secs(1);
/// What is written to learn what the store does; it stays.
const PROBE: &str = ".shanshui/probe";

impl Store {
    /// Connects, waits up to [`S3Options::wait_seconds`] for a store that is away, and learns
    /// whether it honours conditional writes. A missing bucket or refused credentials is an
    /// error at once.
    pub async fn connect(options: &S3Options) -> anyhow::Result<Self> {
        Self::connect_until(options, Some(Instant::now() + Duration::from_secs(options.wait_seconds)), |_| ()).await
    }

    /// As [`Store::connect`], and waits for as long as the store is away: for workers, whose jobs
    /// are safe in the queue. `tell` hears each time why it still waits.
    pub async fn await_store(options: &S3Options, tell: impl FnMut(&str)) -> anyhow::Result<Self> {
        Self::connect_until(options, None, tell).await
    }

    async fn connect_until(
        options: &S3Options,
        until: Option<Instant>,
        mut tell: impl FnMut(&str),
    ) -> anyhow::Result<Self> {
        let mut store = Self::open(options).await?;
        let patient = || until.is_none_or(|until| Instant::now() < until);
        store.conditional = loop {
            match store.probe().await {
                Ok(conditional) => break conditional,
                Err(answer) if answer.is_away() && patient() => {
                    tracing::warn!(
                        place = &*store.place,
                        error = answer.said,
                        "the store does not answer; trying again"
                    );
                    tell(&answer.said);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(answer) => return Err(store.why_not(&answer)),
            }
        };
        if !store.conditional {
            tracing::warn!(
                place = &*store.place,
                "this store ignores If-None-Match: the worker looks for each object before it writes it"
            );
        }
        Ok(store)
    }

    /// Makes the client and sends nothing yet: for [`Store::make_bucket`].
    pub async fn open(options: &S3Options) -> anyhow::Result<Self> {
        Ok(Self {
            client: client::client(options).await?,
            plain: client::is_plain(options),
            bucket: options.bucket.as_str().into(),
            prefix: options.prefix.as_str().into(),
            place: options.place().into(),
            operation_time: options.operation_time(),
            conditional: true,
        })
    }

    /// Makes the bucket; `false` if it was there already.
    pub async fn make_bucket(&self) -> anyhow::Result<bool> {
        match self.head_bucket().await {
            Ok(()) => return Ok(false),
            Err(answer) if answer.is_missing() => {}
            Err(answer) => return Err(self.why_not(&answer)),
        }
        let request = self.client.create_bucket().bucket(&*self.bucket);
        let request = request.set_create_bucket_configuration(self.location());
        match request.send().await.map_err(|error| Answer::of(&error)) {
            Ok(_) => Ok(true),
            // Somebody else made it since we looked.
            Err(answer) if answer.code.starts_with("BucketAlready") => {
                self.check().await?;
                Ok(false)
            }
            Err(answer) => bail!("make s3 bucket {} at {}: {}", self.bucket, self.place, answer.said),
        }
    }

    /// Whether the bucket answers: for readiness.
    pub async fn check(&self) -> Result<(), Failure> {
        self.head_bucket().await.map_err(|answer| Failure::Outage(self.why_not(&answer)))
    }

    /// Whether it lets us write and read, tried out on a probe: a bucket may answer and do neither.
    pub async fn try_out(&self) -> Result<(), Failure> {
        self.probe().await.map(drop).map_err(|answer| Failure::Outage(self.why_not(&answer)))
    }

    async fn head_bucket(&self) -> Result<(), Answer> {
        let head = self.client.head_bucket().bucket(&*self.bucket).send().await;
        match head.map_err(|error| Answer::of(&error)) {
            // An answer to HEAD has no body, and so no reason. Asked for a list, the store names
            // it; if it is the clock, the client then learns the difference and corrects it.
            Err(answer) if answer.is_refused() => {
                let list = self.client.list_objects_v2().bucket(&*self.bucket).max_keys(1).send().await;
                list.map(drop).map_err(|error| Answer::of(&error))
            }
            head => head.map(drop),
        }
    }

    /// Whether the store honours conditional writes.
    async fn probe(&self) -> Result<bool, Answer> {
        let head = self.head_bucket().await;
        // A folder store makes a bucket that is missing when it is written to.
        if head.as_ref().is_err_and(Answer::is_missing) {
            return head.map(|()| false);
        }
        // Other errors are told by a write, whose answer has a body with the reason.
        let conditional = self.probe_writes().await?;
        head.map(|()| conditional)
    }

    /// Writes an object of a fixed name under the condition that there is none, once more if there was
    /// none, and reads it. The answer is whether the condition holds. It is never deleted: that would
    /// need one more right, and two workers that start together would take it from each other.
    async fn probe_writes(&self) -> Result<bool, Answer> {
        let key = format!("{}{PROBE}", self.prefix);
        let first = self.put_probe(&key).await;
        let again = if first.is_ok() { self.put_probe(&key).await } else { first };
        let conditional = match again {
            Ok(()) => false,
            Err(answer) if answer.is_taken() => true,
            Err(answer) if answer.code == "NotImplemented" || answer.status == Some(501) => return Ok(false),
            Err(answer) => return Err(answer),
        };
        self.get_probe(&key).await?;
        Ok(conditional)
    }

    async fn put_probe(&self, key: &str) -> Result<(), Answer> {
        let request = self.client.put_object().bucket(&*self.bucket).key(key).if_none_match("*");
        let body = bytes::Bytes::from_static(b"probe").into();
        request.body(body).send().await.map(drop).map_err(|error| Answer::of(&error))
    }

    async fn get_probe(&self, key: &str) -> Result<(), Answer> {
        let request = self.client.get_object().bucket(&*self.bucket).key(key);
        request.send().await.map(drop).map_err(|error| Answer::of(&error))
    }

    /// Only Amazon wants to be told where, and only outside its first region.
    fn location(&self) -> Option<CreateBucketConfiguration> {
        let region = self.client.config().region()?.as_ref();
        if &*self.place != S3Options::AMAZON || region == "us-east-1" {
            return None;
        }
        let constraint = BucketLocationConstraint::from(region);
        Some(CreateBucketConfiguration::builder().location_constraint(constraint).build())
    }

    fn why_not(&self, answer: &Answer) -> anyhow::Error {
        let (bucket, place, said) = (&self.bucket, &self.place, &answer.said);
        if answer.status == Some(404) {
            return anyhow!("s3 bucket {bucket} does not exist at {place}; `shanshui streams apply` makes it: {said}");
        }
        if answer.is_skewed() {
            return anyhow!("s3 at {place} has another time than this machine: set the clock: {said}");
        }
        if answer.is_refused() {
            return anyhow!(
                "s3 at {place} refuses these credentials for bucket {bucket}, which need GetObject, PutObject \
                 and ListBucket: {said}"
            );
        }
        anyhow!("s3 bucket {bucket} at {place}: {said}")
    }
}
