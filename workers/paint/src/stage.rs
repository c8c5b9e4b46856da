//! The stage: a text job in, pictures and a receipt in the bucket.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shanshui_pipeline::context::Context;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::{JobId, TextJob};
use shanshui_pipeline::model_thread::{ModelThread, in_turn};
use shanshui_pipeline::serve::{Layout, Serve};
use shanshui_pipeline::stage::{Outcome, Stage};
use shanshui_pipeline::store::{ObjectKey, Stored};
use shanshui_pipeline::telemetry::{Histogram, Metrics, Yield, entered, phase};
use tokio::sync::oneshot;

use crate::batcher::{Batcher, Order, Sharing};
use crate::diffusers::needed::needed;
use crate::diffusers::recommended::Recommended;
use crate::error::JobError;
use crate::follower::{Follower, Load};
use crate::limits::Limits;
use crate::model::Model;
use crate::options::PaintOptions;
use crate::paint::{Painted, Request};
use crate::picture::{Format, Metadata, Picture};
use crate::preview::Previews;
use crate::prompt::Texts;
use crate::receipt::{self, About, Receipt};
use crate::sampler::SamplerKind;
use crate::shape;
use crate::source::Source;

/// Pictures of a job that does not say how many.
const COUNT: usize = 2;

/// A paint worker's stage: a loaded model and what it agrees to.
pub struct Paint {
    model: ModelThread<Batcher>,
    /// Time that the pictures of a job take on the model.
    seconds: Histogram,
    load: Arc<Load>,
    about: Arc<About>,
    recommended: Recommended,
    bounds: Bounds,
    limits: Limits,
    sharing: Sharing,
}

/// What the model itself can do, whatever the limits.
struct Bounds {
    /// Sides are multiples of this, in pixels.
    side_unit: usize,
    /// Timesteps it was trained with.
    steps: usize,
}

/// A job, made ready for the model.
struct Wish {
    request: Request,
    format: Format,
    truncated: bool,
    markup: Vec<String>,
}

impl Paint {
    /// Loads the model in `folder`.
    ///
    /// # Errors
    /// A device that is not there, or a folder that is not a model; says which file and field.
    pub async fn load(options: &PaintOptions, folder: &Path, metrics: &Metrics) -> anyhow::Result<Self> {
        let (path, extras) = (folder.to_owned(), options.extras());
        let (kind, precision, sizes) = (options.paint_device, options.paint_precision, metrics.batch_sizes(Self::NAME));
        let (batch_jobs, pictures) = (options.batch_jobs, options.max_batch.into());
        let load = move || -> anyhow::Result<Batcher> {
            let device = kind.open()?;
            let dtype = precision.dtype(&device)?;
            let sharing = Sharing { pictures, requests: batch_jobs.holds(&device) };
            let loaded = Source::find(&path).and_then(|source| Model::open(&source, &extras, &device, dtype));
            let model = loaded.with_context(|| format!("cannot load {}", path.display()))?;
            Ok(Batcher::new(model, sharing).measured_by(sizes))
        };
        let model = ModelThread::spawn_turning("paint-model", load, Batcher::turn).await?;
        let known = model.call(|batcher| {
            let model = batcher.model();
            let bounds = Bounds { side_unit: model.scale(), steps: model.scheduler().num_train_timesteps };
            let (device, dtype) = model.arithmetic();
            let about = About { origin: model.origin().clone(), hashes: model.hashes().to_vec(), device, dtype };
            (about, model.recommended().clone(), bounds, batcher.sharing())
        });
        let (about, recommended, bounds, sharing) = known.await?;
        let about = Arc::new(about);
        let (sampler, steps) = (recommended.sampler.as_str(), recommended.steps);
        let (name, commit) = (about.origin.name.as_str(), about.origin.commit.as_deref());
        tracing::info!(
            model = name,
            commit,
            hash = about.short_hash(),
            device = about.device,
            dtype = about.dtype,
            sampler,
            steps,
            "picture model loaded"
        );
        let (limits, seconds, load) = (options.limits(), metrics.model_seconds(Self::NAME), Arc::default());
        Ok(Self { model, seconds, load, about, recommended, bounds, limits, sharing })
    }

    /// What the job asks for, with the model's recommendations where it does not say.
    fn wish(&self, id: &JobId, job: &TextJob) -> Result<Wish, FieldError> {
        let (spec, best) = (&job.meta.picture, &self.recommended);
        // The contract has checked the name.
        let syntax = spec.syntax.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default();
        let (width, height) = shape::sides(spec.shape.as_deref(), (best.width, best.height));
        let mut texts = Texts::clean([&job.text, &spec.negative], syntax, self.limits.max_prompt_chars);
        texts.loras.splice(0..0, spec.loras.iter().cloned());
        let sampler = spec.sampler.as_deref().unwrap_or(&best.sampler);
        let refused = |_| {
            let known: Vec<_> = SamplerKind::all().map(SamplerKind::id).collect();
            FieldError::new("picture.sampler", sampler, known.join(", "))
        };
        let request = Request {
            prompt: texts.prompt,
            negative: texts.negative,
            width: spec.width.map_or(width, |side| side as usize),
            height: spec.height.map_or(height, |side| side as usize),
            steps: spec.steps.map_or(best.steps, |steps| steps as usize),
            guidance: spec.guidance.unwrap_or(best.guidance),
            sampler: sampler.parse().map_err(refused)?,
            seed: spec.seed.unwrap_or_else(|| seed_of(id)),
            count: spec.count.map_or(COUNT.min(self.limits.max_count), |count| count as usize),
            syntax,
            loras: texts.loras,
        };
        self.limits.check(&request)?;
        self.bounds.check(&request)?;
        let format = spec.format.as_deref().unwrap_or("png");
        let format = format.parse().map_err(|_| FieldError::new("picture.format", format, "png, jpeg or webp"))?;
        Ok(Wish { request, format, truncated: texts.truncated, markup: texts.markup })
    }

    /// Has a request painted, beside others.
    async fn paint(&self, request: &Request, context: &Context) -> Result<Painted, Failure> {
        let load = self.load.add(request.count);
        let (previews, mut shown) = Previews::channel();
        let (reply, painted) = oneshot::channel();
        let (progress, stop) = (Arc::clone(&context.progress), context.stop.clone());
        let (begun, stopped) = (Arc::clone(&load.begun), Box::new(move || stop.is_cancelled()));
        let watch = Box::new(Follower { progress, stopped, previews, begun, turn: Some(phase("model-wait")) });
        let order = Order { request: request.clone(), watch, reply };
        let painted = async {
            self.model.call(|batcher| batcher.add(order)).await.ok()?;
            painted.await.ok()
        };
        let painted = in_turn(&context.progress, || load.begun.get().is_some(), painted);
        let tell = async {
            while let Some(event) = shown.recv().await {
                context.mention(event).await;
            }
        };
        let (painted, ()) = tokio::join!(painted, tell);
        load.begun.get().inspect(|began| self.seconds.observe(began.elapsed().as_secs_f64()));
        Ok(painted.ok_or_else(|| Failure::Broken(anyhow!(self.model.gone())))??)
    }

    async fn keep(&self, wish: &Wish, picture: &Picture, index: u32, context: &Context) -> Result<Stored, Failure> {
        let parameters = self.about.parameters(&wish.request).to_string();
        let receipt = self.about.recipe(&wish.request, Some(index)).to_string();
        let metadata = Metadata { parameters: &parameters, receipt: &receipt };
        let bytes = {
            let _phase = entered("file");
            picture.encode(wish.format, metadata)
        };
        let bytes = bytes.map_err(|error| JobError::File(format!("{error:#}")))?;
        let key = ObjectKey::Picture { job: &context.job, index, extension: wish.format.extension() };
        let stored = context.store.put(&key, bytes.into()).await?;
        let event = Event::Picture {
            index,
            key: stored.key.clone(),
            sha256: stored.sha256.clone(),
            seed: wish.request.seed,
            width: picture.width,
            height: picture.height,
        };
        context.tell(event).await?;
        Ok(stored)
    }
}

impl Bounds {
    fn check(&self, request: &Request) -> Result<(), FieldError> {
        let unit = self.side_unit;
        for (field, side) in [("picture.width", request.width), ("picture.height", request.height)] {
            if !side.is_multiple_of(unit) {
                return Err(FieldError::new(field, side, format!("multiples of {unit} for this model")));
            }
        }
        if request.steps > self.steps {
            return Err(FieldError::new("picture.steps", request.steps, format!("1 to {} for this model", self.steps)));
        }
        Ok(())
    }
}

impl Stage for Paint {
    const NAME: &'static str = "paint";
    const MAKES: &'static str = "picture";
    type Input = TextJob;
    type Output = Infallible;

    async fn run(&self, job: TextJob, context: &Context) -> Result<Outcome<Infallible>, Failure> {
        // An earlier attempt may have died between its record and its end.
        if !context.fresh
            && let Some(made) = receipt::recall(context).await?
        {
            return Ok(Outcome::Done(made));
        }
        let wish = self.wish(&context.job, &job)?;
        let Painted { pictures, text_truncated, batches } = self.paint(&wish.request, context).await?;
        let mut objects = Vec::with_capacity(pictures.len());
        let (count, steps) = (pictures.len(), wish.request.steps);
        context.made(Yield::Pictures, count as f64);
        context.made(Yield::Steps, (count * steps) as f64);
        context.made(Yield::Batches, batches);
        for (index, picture) in (0..).zip(&pictures) {
            objects.push(self.keep(&wish, picture, index, context).await?.object("picture"));
            context.progress.touch();
        }
        let receipt = Receipt {
            text: &job.text,
            text_truncated: wish.truncated || text_truncated,
            markup: &wish.markup,
            recipe: self.about.recipe(&wish.request, None),
        };
        receipt.record(objects, context).await.map(Outcome::Done)
    }

    fn about(&self) -> Value {
        let (about, best, limits) = (&self.about, &self.recommended, &self.limits);
        let mut model = about.origin.to_json();
        model["hash"] = about.short_hash().into();
        json!({
            "model": model,
            "device": about.device,
            "recommended": {
                "width": best.width, "height": best.height, "steps": best.steps, "guidance": best.guidance,
                "sampler": best.sampler, "languages": best.languages,
            },
            "limits": {
                "side": limits.max_side, "side_unit": self.bounds.side_unit, "pixels": limits.max_pixels,
                "steps": limits.max_steps.min(self.bounds.steps), "count": limits.max_count,
                "guidance": limits.max_guidance, "text_characters": limits.max_prompt_chars,
            },
            "samplers": SamplerKind::all().map(SamplerKind::id).collect::<Vec<_>>(),
        })
    }

    fn model(&self) -> &str {
        &self.about.origin.name
    }

    fn together(&self) -> u16 {
        if self.sharing.requests { self.sharing.pictures.try_into().unwrap_or(u16::MAX) } else { 1 }
    }

    fn has_room(&self) -> bool {
        !self.sharing.requests || self.load.has_room(self.sharing.pictures)
    }
}

impl Serve for Paint {
    type Options = PaintOptions;
    const ABOUT: &'static str = "Run one worker that turns text into pictures";
    const LAYOUT: Option<Layout> = Some(Layout {
        kind: "pictures",
        flag: "picture-model",
        file: "model_index.json",
        find: |place| Source::find(place).map(|source| source.path),
        files: needed,
    });

    fn wanted(options: &PaintOptions) -> &str {
        &options.picture_model
    }

    async fn load(options: &PaintOptions, folder: &Path, metrics: &Metrics) -> anyhow::Result<Self> {
        Self::load(options, folder, metrics).await
    }
}

/// A seed that looks random, and is the same at every redelivery. 32 bits, as A1111 writes them.
fn seed_of(job: &JobId) -> u64 {
    let digest = Sha256::digest(job.as_str());
    u64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}
