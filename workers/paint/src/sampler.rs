//! Samplers: how a picture's latents walk from noise to picture, one step at a time.
//!
//! Every sampler here is linear in what the model says, so a [`Schedule`] is a table of a few
//! coefficients a step, made once in double precision, and a [`Sampler`] is the place of one picture
//! on it: plain numbers, no tensors, no device. Pictures of one batch may be at different steps of
//! different schedules.

mod ddim;
mod dpm;
mod euler;
mod kind;
mod levels;
mod schedule;
mod spacing;

use std::sync::Arc;

use anyhow::{Result, ensure};

pub use kind::SamplerKind;
pub use schedule::Schedule;

/// One picture's place on its schedule.
#[derive(Clone, Debug)]
pub struct Sampler {
    schedule: Arc<Schedule>,
    done: usize,
    clean: Vec<f32>,
}

impl Sampler {
    /// A sampler before its first step.
    #[must_use]
    pub fn new(schedule: Arc<Schedule>) -> Self {
        Self { schedule, done: 0, clean: Vec::new() }
    }

    /// Scales unit noise, in place, to the latents that the first step expects.
    pub fn start(&self, noise: &mut [f32]) {
        let sigma = self.schedule.init_noise_sigma();
        noise.iter_mut().for_each(|value| *value = (f64::from(*value) * sigma) as f32);
    }

    /// Steps taken.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Steps still to take.
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
        self.schedule.step(self.done).is_some_and(|step| step.next.noise != 0.0)
    }

    /// Takes one step: `latents` become those of the next timestep.
    ///
    /// `output` is the model's answer (after guidance) and has the shape of `latents`; so has
    /// `noise`, which may be empty where [`Sampler::needs_noise`] says no.
    ///
    /// # Errors
    /// When all steps are done, or the lengths differ.
    pub fn step(&mut self, output: &[f32], latents: &mut [f32], noise: &[f32]) -> Result<()> {
        let Some(step) = self.schedule.step(self.done) else {
            anyhow::bail!("sampler: all {} steps are done", self.done);
        };
        ensure!(
            output.len() == latents.len() && (step.next.noise == 0.0 || noise.len() == latents.len()),
            "sampler: {} latents, {} outputs and {} of noise do not fit",
            latents.len(),
            output.len(),
            noise.len()
        );
        self.clean.resize(latents.len(), 0.0);
        for (i, ((latent, clean), output)) in latents.iter_mut().zip(&mut self.clean).zip(output).enumerate() {
            let noise = noise.get(i).copied().unwrap_or_default();
            (*latent, *clean) = step.apply(*latent, *output, *clean, noise);
        }
        self.done += 1;
        Ok(())
    }
}
