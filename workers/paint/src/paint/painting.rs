//! A request in the making.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor};
use shanshui_pipeline::telemetry::{entered, phase};
use tracing::Span;

use super::canvas::{Canvas, flag};
use super::step::{Answer, Place};
use super::text::Text;
use super::{Painted, Progress, Report, Request, Stopped};
use crate::error::PaintError;
use crate::model::Model;
use crate::picture::Picture;
use crate::preview::Sketch;
use crate::sampler::Schedule;

/// Its pictures: those that are done, those that are at some step, and those that have not begun.
pub(crate) struct Painting {
    request: Request,
    schedule: Arc<Schedule>,
    shape: [usize; 3],
    device: Device,
    /// Tells it from others.
    number: u64,
    text: Option<Text>,
    canvases: Vec<Canvas>,
    begun: usize,
    pictures: Vec<Picture>,
    progress: Progress,
    batches: f64,
    /// All steps, of those at work.
    steps: Option<Span>,
}

impl Painting {
    pub(crate) fn new(model: &Model, request: Request) -> Result<Self, PaintError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let shape = model.latent_shape(request.width, request.height)?;
        let schedule = Arc::new(Schedule::new(request.sampler, model.scheduler(), request.steps)?);
        let progress = Progress { done: 0, total: (schedule.len() + 1) * request.count };
        Ok(Self {
            request,
            schedule,
            shape,
            device: model.device().clone(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            text: None,
            canvases: Vec::new(),
            begun: 0,
            pictures: Vec::new(),
            progress,
            batches: 0.0,
            steps: None,
        })
    }

    /// Whether the model can be asked about both together, as far as the requests tell.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        self.shape == other.shape && self.request.loras == other.request.loras
    }

    /// Whether the texts allow it as well, once they are read.
    pub(crate) fn reads_like(&self, other: &Self) -> bool {
        let tokens = |painting: &Self| painting.text.as_ref().map(|text| text.tokens);
        tokens(self) == tokens(other)
    }

    /// Adaptations that it wants.
    pub(crate) fn loras(&self) -> &[(String, f64)] {
        &self.request.loras
    }

    /// Reads the texts, if that has not been done: the model must be adapted to the request.
    pub(crate) fn read(&mut self, model: &Model) -> Result<(), PaintError> {
        if self.text.is_none() {
            let _phase = entered("text");
            self.text = Some(Text::encode(model, &self.request)?);
        }
        Ok(())
    }

    /// Pictures at work.
    pub(crate) fn at_work(&self) -> usize {
        self.canvases.len()
    }

    /// Begins pictures, at most so many; returns how many.
    pub(crate) fn begin(&mut self, most: usize) -> Result<usize, PaintError> {
        let new = most.min(self.request.count - self.begun);
        let Self { schedule, request, shape, device, .. } = &*self;
        let canvas = |picture: usize| Canvas::new(schedule, request.seed, picture as u32, *shape, device);
        let canvases = (self.begun..self.begun + new).map(canvas).collect::<candle_core::Result<Vec<_>>>()?;
        self.canvases.extend(canvases);
        self.begun += new;
        if new > 0 && self.steps.is_none() {
            self.steps = Some(phase("steps"));
        }
        Ok(new)
    }

    /// Whether a picture has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun > 0
    }

    /// The pictures at work, for the model.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let text = self.text.iter().cycle();
        self.canvases.iter().zip(text).map(|(canvas, text)| Place { request: self.number, canvas, text })
    }

    /// Makes the noise of the coming step. That is work of the CPU: meanwhile a GPU computes the answers.
    pub(crate) fn make_noise(&mut self) {
        self.canvases.iter_mut().for_each(Canvas::make_noise);
    }

    /// Takes a step of every picture at work with the model's answers. Nothing here waits for a GPU:
    /// [`Painting::settle`] does.
    pub(crate) fn step(
        &mut self,
        mut answers: impl Iterator<Item = Result<Answer, PaintError>>,
    ) -> Result<(), PaintError> {
        let step = |canvas: &mut Canvas, answer: Result<Answer, PaintError>| Ok(canvas.step(&answer?)?);
        let mut stepped = self.canvases.iter_mut().zip(&mut answers);
        let Err(error) = stepped.try_for_each(|(canvas, answer)| step(canvas, answer)) else { return Ok(()) };
        // What is final comes before what may pass.
        match self.ensure_finite() {
            Err(PaintError::Job(own)) => Err(own.into()),
            _ => Err(error),
        }
    }

    /// Waits until the step is done, and looks at what came of it.
    ///
    /// A GPU takes orders faster than it works. Without this it would be told of the last step while it computes
    /// the first: progress would be false, and a cancel late.
    pub(crate) fn settle(&mut self) -> Result<(), PaintError> {
        self.ensure_finite()?;
        self.progress.done += self.canvases.len();
        Ok(())
    }

    /// Looks at one number for each picture, so that the latents can stay where they are.
    fn ensure_finite(&self) -> Result<(), PaintError> {
        let flags =
            self.canvases.iter().map(|canvas| flag(canvas.latents())).collect::<candle_core::Result<Vec<_>>>()?;
        let flags = if flags.is_empty() { Vec::new() } else { Tensor::stack(&flags, 0)?.to_vec1()? };
        let mut seen = self.canvases.iter().zip(flags);
        Ok(seen.try_for_each(|(canvas, flag)| canvas.ensure_finite([flag].into_iter(), "latents"))?)
    }

    /// Shows the pictures at work.
    pub(crate) fn show(&self, show: &mut dyn FnMut(Sketch<'_>)) {
        self.canvases.iter().filter_map(|canvas| canvas.sketch(self.canvases.len())).for_each(show);
    }

    /// Decodes the pictures whose steps are done.
    pub(crate) fn finish(&mut self, model: &Model, report: &mut Report<'_>) -> Result<(), PaintError> {
        while let Some(place) = self.canvases.iter().position(Canvas::is_done) {
            let canvas = self.canvases.remove(place);
            if self.canvases.iter().all(Canvas::is_done) {
                self.steps = None;
            }
            let within = self.steps.clone().unwrap_or_else(Span::current);
            let picture = within.in_scope(|| {
                let _phase = entered("vae");
                canvas.decode(model)
            })?;
            self.pictures.push(picture);
            self.batches += canvas.batches();
            self.progress.done += 1;
            self.report(report)?;
        }
        Ok(())
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Tells how far it is.
    pub(crate) fn report(&self, report: &mut Report<'_>) -> Result<(), Stopped> {
        match report(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(self.stopped()),
        }
    }

    /// What to say when it is not finished.
    pub(crate) fn stopped(&self) -> Stopped {
        Stopped(self.progress)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.pictures.len() == self.request.count
    }

    /// What has come of it.
    pub(crate) fn into_painted(self) -> Painted {
        let text_truncated = self.text.is_some_and(|text| text.truncated);
        Painted { pictures: self.pictures, text_truncated, batches: self.batches }
    }
}
