//! One picture in the making.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::step::Answer;
use crate::error::{JobError, PaintError};
use crate::model::Model;
use crate::noise::NoiseKey;
use crate::picture::Picture;
use crate::preview::Sketch;
use crate::sampler::{Sampler, Schedule};

/// A picture's latents and its place on its schedule.
pub(super) struct Canvas {
    sampler: Sampler,
    /// (1, channels, height, width), on the device of the model.
    latents: Tensor,
    noise: NoiseKey,
    /// Noise for the coming step, on the CPU, whose logarithms and cosines are the same everywhere.
    fresh: Option<Vec<f32>>,
    /// What its calls of the model cost: each is shared by all pictures that it is for.
    cost: f64,
}

impl Canvas {
    pub(super) fn new(
        schedule: &Arc<Schedule>,
        seed: u64,
        picture: u32,
        [channels, height, width]: [usize; 3],
        device: &Device,
    ) -> candle_core::Result<Self> {
        let noise = NoiseKey { seed, picture, step: 0 };
        let sampler = Sampler::new(schedule.clone());
        let mut latents = noise.normals(channels * height * width);
        sampler.start(&mut latents);
        let latents = Tensor::from_vec(latents, (1, channels, height, width), device)?;
        Ok(Self { sampler, latents, noise, fresh: None, cost: 0.0 })
    }

    /// Index of the picture in its request.
    pub(super) fn index(&self) -> u32 {
        self.noise.picture
    }

    pub(super) fn latents(&self) -> &Tensor {
        &self.latents
    }

    pub(super) fn is_done(&self) -> bool {
        self.sampler.left() == 0
    }

    /// Batches that it took: one half, if another picture was with it all the time.
    pub(super) fn batches(&self) -> f64 {
        self.cost / self.sampler.done().max(1) as f64
    }

    /// What the model is to be shown, and at which timestep.
    pub(super) fn input(&self) -> candle_core::Result<(Tensor, f32)> {
        let timestep = self.sampler.timestep().unwrap_or_default();
        Ok((self.sampler.model_input(&self.latents)?, timestep as f32))
    }

    /// Makes the noise that the coming step adds, if it adds any.
    pub(super) fn make_noise(&mut self) {
        let noise = NoiseKey { step: self.sampler.done() as u32 + 1, ..self.noise };
        let elements = self.latents.elem_count();
        self.fresh = self.sampler.needs_noise().then(|| noise.normals(elements));
    }

    /// Takes a step with the model's answer, which a GPU may not be done with when this returns.
    pub(super) fn step(&mut self, answer: &Answer) -> candle_core::Result<()> {
        let (shape, device) = (self.latents.shape(), self.latents.device());
        let noise = self.fresh.take().map(|fresh| Tensor::from_vec(fresh, shape, device)).transpose()?;
        self.latents = self.sampler.step(&answer.output, &self.latents, noise.as_ref())?;
        self.cost += (answer.together as f64).recip();
        Ok(())
    }

    /// None before the first step.
    pub(super) fn sketch(&self, together: usize) -> Option<Sketch<'_>> {
        let (done, left) = (self.sampler.done() as u32, self.sampler.left() as u32);
        let (index, latents) = (self.noise.picture, self.sampler.clean()?);
        Some(Sketch { index, steps: (done, done + left), together, latents })
    }

    /// Alone, for the decoder needs more memory for one picture than the UNet for a batch.
    pub(super) fn decode(&self, model: &Model) -> Result<Picture, PaintError> {
        let pixels = model.decode(&self.latents)?.squeeze(0)?;
        model.learn_colors(&self.latents, &pixels)?;
        let (_, height, width) = pixels.dims3()?;
        let pixels: Vec<f32> = pixels.permute((1, 2, 0))?.flatten_all()?.to_vec1()?;
        self.ensure_finite(pixels.iter().copied(), "pixels")?;
        let rgb = pixels.into_iter().map(|value| (value * 255.0).round() as u8).collect();
        Ok(Picture { width: width as u32, height: height as u32, rgb })
    }

    pub(super) fn ensure_finite(
        &self,
        mut values: impl Iterator<Item = f32>,
        what: &'static str,
    ) -> Result<(), JobError> {
        if values.all(f32::is_finite) { Ok(()) } else { Err(JobError::NotFinite { picture: self.noise.picture, what }) }
    }
}

/// One number for all: finite if they are.
///
/// Zero times anything but a finite number is not a number, and so is every sum with it.
pub(super) fn flag(values: &Tensor) -> candle_core::Result<Tensor> {
    values.affine(0.0, 0.0)?.sum_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_tells_of_any_that_is_not_finite_wherever_it_is() {
        let finite = |values: &[f32]| {
            let tensor = Tensor::new(values, &Device::Cpu).unwrap();
            flag(&tensor).unwrap().to_scalar::<f32>().unwrap().is_finite()
        };
        let mut values = vec![f32::MAX; 101];
        (values[1], values[2], values[3]) = (f32::MIN, -0.0, 1e-45);
        assert!(finite(&values), "the largest numbers are finite, and their sum is not asked for");
        for odd in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            for place in [0, 50, 100] {
                let whole = std::mem::replace(&mut values[place], odd);
                assert!(!finite(&values), "{odd} at {place}");
                values[place] = whole;
            }
        }
    }
}
