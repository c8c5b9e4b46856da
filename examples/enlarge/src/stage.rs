//! The stage: pictures of a job in, larger ones beside them.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::made::MadeObject;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::{Context, Failure, Made, ObjectKey, OrFailure, Outcome, Serve, Stage};

use crate::job::PicturesJob;
use crate::options::EnlargeOptions;
use crate::resize;

/// Largest picture file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// The stage of one worker.
#[derive(Debug, Clone)]
pub struct Enlarge {
    options: EnlargeOptions,
}

impl Enlarge {
    /// A stage with these settings.
    pub fn new(options: EnlargeOptions) -> Self {
        Self { options }
    }

    /// Enlarges one picture, and puts it beside the others under a name of its own.
    async fn add(
        &self,
        index: usize,
        picture: &MadeObject,
        factor: u32,
        context: &Context,
    ) -> Result<MadeObject, Failure> {
        let (_, extension) = resize::format_of(&picture.key)?;
        let name = format!("{index}-x{factor}.{extension}");
        let key = ObjectKey::File { job: &context.job, name: &name };
        // An earlier attempt may have come this far.
        if !context.fresh
            && let Some(there) = context.store.find(&key).await?
        {
            return Ok(there.object("enlarged"));
        }
        let larger = self.enlarge(picture, factor, context).await?;
        Ok(context.store.put(&key, larger).await?.object("enlarged"))
    }

    async fn enlarge(&self, picture: &MadeObject, factor: u32, context: &Context) -> Result<Bytes, Failure> {
        let (format, _) = resize::format_of(&picture.key)?;
        let bytes = context.store.get(&picture.key, MAX_FILE).await?;
        if sha256_hex(&bytes) != picture.sha256 {
            return Err(FieldError::new("made", &picture.key, "the object that the stage before wrote").into());
        }
        if context.stop.is_cancelled() {
            return Err(Failure::Interrupted);
        }
        let most = self.options.enlarge_max_pixels;
        // Not on the threads that answer probes and follow cancels.
        let work = tokio::task::spawn_blocking(move || resize::enlarge(&bytes, format, factor, most));
        tokio::select! {
            larger = work => larger.or_retry()?.map(Bytes::from),
            // The thread goes on to the end of its picture, which nobody takes.
            () = context.stop.cancelled() => Err(Failure::Interrupted),
        }
    }
}

impl Stage for Enlarge {
    const NAME: &'static str = "enlarge";
    const MAKES: &'static str = "enlargement";
    type Input = PicturesJob;
    type Output = Infallible;

    async fn run(&self, job: PicturesJob, context: &Context) -> Result<Outcome<Infallible>, Failure> {
        let (pictures, factor) = (job.pictures()?, job.factor.unwrap_or(self.options.enlarge_factor));
        let all = pictures.len() as f64;
        let mut objects = Vec::with_capacity(pictures.len());
        for (index, picture) in pictures.iter().enumerate() {
            context.progress.report(index as f64, all);
            objects.push(self.add(index, picture, factor, context).await?);
        }
        context.progress.report(all, all);
        Ok(Outcome::Done(Made::new(objects, json!({ "factor": factor, "filter": "lanczos3" }))))
    }
}

impl Serve for Enlarge {
    type Options = EnlargeOptions;
    const ABOUT: &'static str = "Run one worker that enlarges pictures";

    async fn load(options: &EnlargeOptions, _: &Path, _: &Metrics) -> anyhow::Result<Self> {
        Ok(Self::new(options.clone()))
    }
}
