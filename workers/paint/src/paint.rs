//! From a request to pictures: the denoising loop.

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use shanshui_kernels::floats::Pool;
use shanshui_pipeline::telemetry::entered;

use crate::error::{JobError, PaintError, WorkerError};
use crate::model::{Context, Encoded, Model};
use crate::noise::NoiseKey;
use crate::picture::Picture;
use crate::preview::Sketch;
use crate::prompt::syntax::Syntax;
use crate::sampler::{Sampler, SamplerKind, Schedule};

/// What to paint, already cleaned and within the limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the pictures show.
    pub prompt: String,
    /// What they should not show.
    pub negative: String,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Scale of classifier-free guidance (Ho and Salimans, arXiv:2207.12598); 1 or less: none.
    pub guidance: f64,
    /// How the noise is walked off.
    pub sampler: SamplerKind,
    /// Seed of the noise of all pictures.
    pub seed: u64,
    /// Number of pictures; picture `i` is the same whatever the number.
    pub count: usize,
    /// What the texts may hold beside words.
    pub syntax: Syntax,
    /// Adaptations by name and weight; [`Model::adapt`] brings them in.
    pub loras: Vec<(String, f64)>,
}

/// How far a request is. One denoising step of one batch, and one decoded picture, count one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Done so far.
    pub done: usize,
    /// To do in all.
    pub total: usize,
}

/// The error when [`paint`] was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped after {} of {} steps", .0.done, .0.total)]
pub struct Stopped(pub Progress);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Painted {
    /// In the order of their indexes.
    pub pictures: Vec<Picture>,
    /// Whether the text encoder reads fewer tokens than the texts have: the rest is not in the pictures.
    pub text_truncated: bool,
}

/// Paints the pictures of a request, at most `max_batch` at a time.
///
/// In batches of one, a picture is the same to the bit whatever else is painted; in larger ones the
/// device may add up products in another order, which shows as one level of 255 at most here and
/// there.
///
/// `report` hears of every step, first of none done; its `Break` stops the work there.
///
/// # Errors
/// [`JobError`] for a size or number of steps that the model cannot do and for numbers that overflow,
/// [`Stopped`], or [`WorkerError`] when the device fails.
pub fn paint(
    model: &Model,
    request: &Request,
    max_batch: usize,
    report: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Painted, PaintError> {
    paint_shown(model, request, max_batch, report, &mut |_| {})
}

/// As [`paint`]; `show` sees every picture after every step.
///
/// # Errors
/// As [`paint`].
pub fn paint_shown(
    model: &Model,
    request: &Request,
    max_batch: usize,
    report: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    show: &mut dyn FnMut(Sketch<'_>),
) -> Result<Painted, PaintError> {
    let shape = model.latent_shape(request.width, request.height)?;
    let schedule = Arc::new(Schedule::new(request.sampler, model.scheduler(), request.steps)?);
    let max_batch = max_batch.clamp(1, request.count.max(1));
    let total = schedule.len() * request.count.div_ceil(max_batch) + request.count;
    let mut work = Work { report, progress: Progress { done: 0, total } };
    work.check()?;
    // Every step needs the same memory.
    let _pool = Pool::open();
    let text = {
        let _phase = entered("text");
        Text::encode(model, request)?
    };
    let mut pictures = Vec::with_capacity(request.count);
    for first in (0..request.count).step_by(max_batch) {
        let batch = first..request.count.min(first + max_batch);
        let mut canvases: Vec<_> =
            batch.map(|picture| Canvas::new(&schedule, request.seed, picture as u32, shape)).collect();
        let context = text.context(model, canvases.len())?;
        let steps = entered("steps");
        while canvases[0].sampler.left() > 0 {
            step(model, &mut canvases, &context, text.guidance)?;
            canvases.iter().for_each(|canvas| show(canvas.sketch(canvases.len())));
            work.advance()?;
        }
        drop(steps);
        for canvas in &canvases {
            let _phase = entered("vae");
            pictures.push(canvas.decode(model)?);
            work.advance()?;
        }
    }
    Ok(Painted { pictures, text_truncated: text.truncated })
}

struct Work<'a> {
    report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    progress: Progress,
}

impl Work<'_> {
    fn advance(&mut self) -> Result<(), Stopped> {
        self.progress.done += 1;
        self.check()
    }

    fn check(&mut self) -> Result<(), Stopped> {
        match (self.report)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped(self.progress)),
        }
    }
}

/// The states of the prompt, or of the negative prompt and the prompt.
struct Text {
    /// (1 or 2, tokens, width)
    states: Tensor,
    /// `None`: the model is asked about the prompt alone.
    guidance: Option<f64>,
    /// The scale of guidance, where the model is told it.
    told: Option<f64>,
    truncated: bool,
}

impl Text {
    fn encode(model: &Model, request: &Request) -> Result<Self, PaintError> {
        let told = model.is_told_guidance().then_some(request.guidance);
        let guidance = (request.guidance > 1.0 && told.is_none()).then_some(request.guidance);
        let prompts = [request.negative.as_str(), request.prompt.as_str()];
        let prompts = if guidance.is_some() { &prompts[..] } else { &prompts[1..] };
        let Encoded { states, truncated } = model.encode_as(prompts, request.syntax)?;
        Ok(Self { states, guidance, told, truncated })
    }

    /// For a batch in which the rows without the prompt come first.
    fn context(&self, model: &Model, pictures: usize) -> candle_core::Result<Context> {
        let (prompts, tokens, width) = self.states.dims3()?;
        let rows = self.states.unsqueeze(1)?.broadcast_as((prompts, pictures, tokens, width))?;
        let rows = rows.reshape((prompts * pictures, tokens, width))?;
        match self.told {
            Some(guidance) => model.prepare_guided(&rows, guidance),
            None => model.prepare(&rows),
        }
    }
}

/// One picture in the making.
struct Canvas {
    sampler: Sampler,
    latents: Vec<f32>,
    shape: [usize; 3],
    noise: NoiseKey,
}

impl Canvas {
    fn new(schedule: &Arc<Schedule>, seed: u64, picture: u32, shape: [usize; 3]) -> Self {
        let noise = NoiseKey { seed, picture, step: 0 };
        let sampler = Sampler::new(schedule.clone());
        let mut latents = noise.normals(shape.iter().product());
        sampler.start(&mut latents);
        Self { sampler, latents, shape, noise }
    }

    fn step(&mut self, output: &[f32]) -> Result<(), PaintError> {
        self.noise.step += 1;
        let noise = if self.sampler.needs_noise() { self.noise.normals(self.latents.len()) } else { Vec::new() };
        self.sampler.step(output, &mut self.latents, &noise).map_err(WorkerError::of)?;
        Ok(self.ensure_finite(&self.latents, "latents")?)
    }

    fn sketch(&self, together: usize) -> Sketch<'_> {
        let (done, left) = (self.sampler.done() as u32, self.sampler.left() as u32);
        let (index, latents, shape) = (self.noise.picture, self.sampler.clean(), self.shape);
        Sketch { index, steps: (done, done + left), together, latents, shape }
    }

    /// Alone, for the decoder needs more memory for one picture than the UNet for a batch.
    fn decode(&self, model: &Model) -> Result<Picture, PaintError> {
        let [channels, height, width] = self.shape;
        let latents = Tensor::from_slice(&self.latents, (1, channels, height, width), &Device::Cpu)?;
        let pixels = model.decode(&latents)?.squeeze(0)?;
        model.learn_colors(&self.latents, &pixels)?;
        let (_, height, width) = pixels.dims3()?;
        let pixels: Vec<f32> = pixels.permute((1, 2, 0))?.flatten_all()?.to_vec1()?;
        self.ensure_finite(&pixels, "pixels")?;
        let rgb = pixels.into_iter().map(|value| (value * 255.0).round() as u8).collect();
        Ok(Picture { width: width as u32, height: height as u32, rgb })
    }

    fn ensure_finite(&self, values: &[f32], what: &'static str) -> Result<(), JobError> {
        let finite = values.iter().all(|value| value.is_finite());
        if finite { Ok(()) } else { Err(JobError::NotFinite { picture: self.noise.picture, what }) }
    }
}

/// One step of every canvas, by one call of the model.
fn step(model: &Model, canvases: &mut [Canvas], context: &Context, guidance: Option<f64>) -> Result<(), PaintError> {
    let [channels, height, width] = canvases[0].shape;
    let copies = if guidance.is_some() { 2 } else { 1 };
    let rows = copies * canvases.len();
    let mut input = Vec::with_capacity(rows * channels * height * width);
    let mut timesteps = Vec::with_capacity(rows);
    for canvas in canvases.iter() {
        input.extend(canvas.sampler.model_input(&canvas.latents));
        timesteps.extend(canvas.sampler.timestep().map(|timestep| timestep as f32));
    }
    if guidance.is_some() {
        input.extend_from_within(..);
        timesteps.extend_from_within(..);
    }
    let input = Tensor::from_vec(input, (rows, channels, height, width), &Device::Cpu)?;
    let timesteps = Tensor::from_vec(timesteps, rows, &Device::Cpu)?;
    let output = model.predict(&input, &timesteps, context)?.flatten_all()?.to_vec1::<f32>()?;
    let (without, with) = output.split_at(output.len() * (copies - 1) / copies);
    let guided: Vec<f32> = match guidance {
        Some(scale) => with.iter().zip(without).map(|(with, without)| guide(*with, *without, scale)).collect(),
        None => with.to_vec(),
    };
    let len = channels * height * width;
    canvases.iter_mut().zip(guided.chunks(len)).try_for_each(|(canvas, output)| canvas.step(output))
}

fn guide(with: f32, without: f32, scale: f64) -> f32 {
    let (with, without) = (f64::from(with), f64::from(without));
    (without + scale * (with - without)) as f32
}
