//! Samplers: how a picture's latents walk from noise to picture, one step at a time.
//!
//! Every sampler here is linear in what the model says, so a [`Schedule`] is a table of a few
//! coefficients for each call of the model, made once in double precision, and a [`Sampler`] is the place
//! of one picture on it. Its numbers stay on the device of the model, and are the same to the bit on every
//! device. Pictures of one batch may be at different steps of different schedules.

mod consistency;
mod ddim;
mod dpm;
mod euler;
mod exact;
mod heun;
mod kind;
mod known;
mod levels;
mod levels_walk;
mod lms;
mod plms;
mod schedule;
mod sde;
mod solver;
mod spacing;
mod sum;
#[cfg(test)]
mod tests;
mod unipc;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

pub use exact::guided;
use exact::{double, single, times};
pub use kind::SamplerKind;
use known::Known;
pub use schedule::Schedule;
use schedule::Step;
use sum::PAST;

/// One picture's place on its schedule.
#[derive(Clone, Debug)]
pub struct Sampler {
    schedule: Arc<Schedule>,
    done: usize,
    clean: Option<Tensor>,
    /// In double precision, as `past`: every step that reads them would need that.
    base: Option<Tensor>,
    /// Newest first.
    past: VecDeque<Tensor>,
}

impl Sampler {
    /// A sampler before its first step.
    #[must_use]
    pub fn new(schedule: Arc<Schedule>) -> Self {
        Self { schedule, done: 0, clean: None, base: None, past: VecDeque::new() }
    }

    /// Scales unit noise, in place, to the latents that the first step expects.
    pub fn start(&self, noise: &mut [f32]) {
        let sigma = self.schedule.init_noise_sigma();
        noise.iter_mut().for_each(|value| *value = (f64::from(*value) * sigma) as f32);
    }

    /// Calls of the model that are answered.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Calls of the model still to come.
    #[must_use]
    pub fn left(&self) -> usize {
        self.schedule.len() - self.done
    }

    /// The timestep to tell the model, in training steps; `None` when all steps are done.
    #[must_use]
    pub fn timestep(&self) -> Option<f64> {
        self.schedule.step(self.done).map(|step| step.timestep)
    }

    /// What the model is to be shown for `latents`.
    ///
    /// # Errors
    /// When all steps are done, or the device fails.
    pub fn model_input(&self, latents: &Tensor) -> Result<Tensor> {
        let scale = self.coming()?.input_scale;
        if scale == 1.0 { Ok(latents.clone()) } else { single(&times(&double(latents)?, scale)?) }
    }

    /// The clean latents that the last step predicted, for a preview; none before the first step.
    #[must_use]
    pub fn clean(&self) -> Option<&Tensor> {
        self.clean.as_ref()
    }

    /// Whether the coming step adds noise of its own.
    #[must_use]
    pub fn needs_noise(&self) -> bool {
        self.schedule.step(self.done).is_some_and(Step::needs_noise)
    }

    /// Takes one step: from `latents` to those of the next timestep. After an error it can be taken again.
    ///
    /// `output` is the model's answer (after guidance) and has the shape of `latents`, in f32 on the same
    /// device; so has `noise`, which [`Sampler::needs_noise`] asks for. A GPU may not be done with the step
    /// when this returns.
    ///
    /// # Errors
    /// When all steps are done, the shapes differ, or the device fails.
    pub fn step(&mut self, output: &Tensor, latents: &Tensor, noise: Option<&Tensor>) -> Result<Tensor> {
        let step = self.coming()?;
        let noise = noise.filter(|_| step.needs_noise());
        let fits = |values: &Tensor| values.shape() == latents.shape();
        if !fits(output) || !noise.map_or(!step.needs_noise(), fits) {
            let noise = noise.map(Tensor::shape);
            bail!("sampler: latents {:?}, output {:?} and noise {noise:?} do not fit", latents.shape(), output.shape());
        }
        let noise = noise.map(double).transpose()?;
        let (sample, output) = (double(latents)?, double(output)?);
        let (base, past) = (self.base.as_ref(), &self.past);
        let mut known = Known { sample, output, clean: None, base, past, noise };
        let clean = self.bounded(known.sum(&step.clean.sum())?)?;
        known.clean = Some(double(&clean)?);
        let next = known.sum(&step.next)?;
        let kept = |sum| known.kept(&sum);
        let (keep, base) = (step.keep.map(kept).transpose()?, step.base.map(kept).transpose()?);
        self.advance(clean, keep, base);
        Ok(next)
    }

    fn coming(&self) -> Result<Step> {
        let Some(step) = self.schedule.step(self.done) else { bail!("sampler: all {} steps are done", self.done) };
        Ok(*step)
    }

    /// Clean latents as the model's scheduler wants them.
    fn bounded(&self, clean: Tensor) -> Result<Tensor> {
        let Some(thresholding) = self.schedule.thresholding() else { return Ok(clean) };
        // A quantile needs the values in order. Few models want it, and those paint pixels, not latents.
        let mut values = clean.flatten_all()?.to_vec1()?;
        thresholding.apply(&mut values);
        Tensor::from_vec(values, clean.shape(), clean.device())
    }

    fn advance(&mut self, clean: Tensor, keep: Option<Tensor>, base: Option<Tensor>) {
        self.done += 1;
        self.clean = Some(clean);
        self.base = base.or(self.base.take());
        if let Some(keep) = keep {
            self.past.push_front(keep);
            self.past.truncate(PAST);
        }
    }
}
