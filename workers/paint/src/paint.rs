//! From a request to pictures: the denoising loop.

mod canvas;
mod painting;
mod step;
mod text;

use std::ops::ControlFlow;

use shanshui_kernels::floats::Pool;

use crate::error::PaintError;
use crate::model::Model;
use crate::picture::Picture;
use crate::preview::Sketch;
use crate::prompt::syntax::Syntax;
use crate::sampler::SamplerKind;
pub(crate) use painting::Painting;
pub(crate) use step::Asker;

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

/// How far a request is. One denoising step of one picture, and one decoded picture, count one each.
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
#[derive(Clone, Debug, PartialEq)]
pub struct Painted {
    /// In the order of their indexes.
    pub pictures: Vec<Picture>,
    /// Whether the text encoder reads fewer tokens than the texts have: the rest is not in the pictures.
    pub text_truncated: bool,
    /// Batches that went through the model for it. One that it shared counts in part.
    pub batches: f64,
}

/// Hears how far a request is; its `Break` stops the work there.
pub type Report<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Paints the pictures of a request, at most `max_batch` at a time.
///
/// On a CPU, a picture is the same to the bit whatever else is painted. Other devices may add up products in
/// another order in larger batches; how much that shows has not been measured.
///
/// `report` hears of every step, first of none done; its `Break` stops the work there.
///
/// # Errors
/// [`JobError`](crate::error::JobError) for a size or number of steps that the model cannot do and for
/// numbers that overflow, [`Stopped`], or [`WorkerError`](crate::error::WorkerError) when the device fails.
pub fn paint(
    model: &Model,
    request: &Request,
    max_batch: usize,
    report: &mut Report<'_>,
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
    report: &mut Report<'_>,
    show: &mut dyn FnMut(Sketch<'_>),
) -> Result<Painted, PaintError> {
    let mut painting = Painting::new(model, request.clone())?;
    painting.report(report)?;
    // Every step needs the same memory.
    let _pool = Pool::open();
    painting.read(model)?;
    let mut asker = Asker::default();
    while !painting.is_done() {
        if painting.at_work() == 0 {
            painting.begin(max_batch.max(1))?;
        }
        let places: Vec<_> = painting.places().collect();
        let answers = asker.ask(model, &places);
        painting.make_noise();
        painting.step(answers.into_iter())?;
        painting.settle()?;
        painting.show(show);
        painting.report(report)?;
        painting.finish(model, report)?;
    }
    Ok(painting.into_painted())
}
