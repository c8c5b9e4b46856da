//! Samplers: how a picture's latents walk from noise to picture, one step at a time.
//!
//! Every sampler here is linear in what the model says, so a [`Schedule`] is a table of a few
//! coefficients for each call of the model, made once in double precision, and a [`Sampler`] is the place
//! of one picture on it: plain numbers, no tensors, no device. Pictures of one batch may be at different
//! steps of different schedules.

mod consistency;
mod ddim;
mod dpm;
mod euler;
mod heun;
mod kind;
mod levels;
mod levels_walk;
mod lms;
mod plms;
mod schedule;
mod sde;
mod solver;
mod spacing;
mod sum;
mod unipc;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;

pub use kind::SamplerKind;
pub use schedule::Schedule;
use schedule::Step;
use sum::{PAST, Sum};

/// One picture's place on its schedule.
#[derive(Clone, Debug)]
pub struct Sampler {
    schedule: Arc<Schedule>,
    done: usize,
    clean: Vec<f32>,
    base: Vec<f32>,
    /// Newest first.
    past: VecDeque<Vec<f32>>,
}

/// A call that a [`Sampler`] cannot answer: a fault of the code around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// There is no step left.
    #[error("sampler: all {0} steps are done")]
    AllDone(usize),
    /// What belongs to the same elements has different lengths.
    #[error("sampler: {latents} latents, {outputs} outputs and {noise} of noise do not fit")]
    Lengths {
        /// Of the latents.
        latents: usize,
        /// Of the model's answer.
        outputs: usize,
        /// Of the noise.
        noise: usize,
    },
}

impl Sampler {
    /// A sampler before its first step.
    #[must_use]
    pub fn new(schedule: Arc<Schedule>) -> Self {
        Self { schedule, done: 0, clean: Vec::new(), base: Vec::new(), past: VecDeque::new() }
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

    /// What the model is to be shown for `latents`; empty when all steps are done.
    pub fn model_input<'a>(&self, latents: &'a [f32]) -> impl Iterator<Item = f32> + use<'a> {
        let scale = self.schedule.step(self.done).map(|step| step.input_scale);
        latents.iter().filter_map(move |value| scale.map(|scale| (f64::from(*value) * scale) as f32))
    }

    /// The clean latents that the last step predicted, for a preview; empty before the first step.
    #[must_use]
    pub fn clean(&self) -> &[f32] {
        &self.clean
    }

    /// Whether the coming step adds noise of its own.
    #[must_use]
    pub fn needs_noise(&self) -> bool {
        self.schedule.step(self.done).is_some_and(Step::needs_noise)
    }

    /// Takes one step: `latents` become those of the next timestep.
    ///
    /// `output` is the model's answer (after guidance) and has the shape of `latents`; so has
    /// `noise`, which may be empty where [`Sampler::needs_noise`] says no.
    ///
    /// # Errors
    /// When all steps are done, or the lengths differ.
    pub fn step(&mut self, output: &[f32], latents: &mut [f32], noise: &[f32]) -> Result<(), Misuse> {
        let Some(step) = self.schedule.step(self.done) else { return Err(Misuse::AllDone(self.done)) };
        if output.len() != latents.len() || (step.needs_noise() && noise.len() != latents.len()) {
            return Err(Misuse::Lengths { latents: latents.len(), outputs: output.len(), noise: noise.len() });
        }
        let step = *step;
        self.predict_clean(step, output, latents);
        let mut keep = step.keep.map(|_| vec![0.0; latents.len()]);
        self.base.resize(latents.len(), 0.0);
        for (index, latent) in latents.iter_mut().enumerate() {
            let known = self.known(index, *latent, output, noise);
            *latent = step.next.of(&known) as f32;
            if let Some((sum, kept)) = step.keep.zip(keep.as_mut()) {
                kept[index] = sum.of(&known) as f32;
            }
            if let Some(sum) = step.base {
                self.base[index] = sum.of(&known) as f32;
            }
        }
        if let Some(keep) = keep {
            self.past.push_front(keep);
            self.past.truncate(PAST);
        }
        self.done += 1;
        Ok(())
    }

    fn predict_clean(&mut self, step: Step, output: &[f32], latents: &[f32]) {
        let clean = latents.iter().zip(output).map(|(sample, output)| {
            (step.clean.sample * f64::from(*sample) + step.clean.output * f64::from(*output)) as f32
        });
        self.clean.clear();
        self.clean.extend(clean);
        if let Some(thresholding) = self.schedule.thresholding() {
            thresholding.apply(&mut self.clean);
        }
    }

    fn known(&self, index: usize, sample: f32, output: &[f32], noise: &[f32]) -> Sum {
        let past = |back| self.past.get(back).map_or(0.0, |kept| f64::from(kept[index]));
        Sum {
            sample: sample.into(),
            output: output[index].into(),
            clean: self.clean[index].into(),
            base: self.base[index].into(),
            past: std::array::from_fn(past),
            noise: noise.get(index).copied().unwrap_or_default().into(),
        }
    }
}
