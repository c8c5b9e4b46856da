//! One picture in the making.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::error::{JobError, PaintError, WorkerError};
use crate::model::Model;
use crate::noise::NoiseKey;
use crate::picture::Picture;
use crate::preview::Sketch;
use crate::sampler::{Sampler, Schedule};

/// A picture's latents and its place on its schedule.
pub(super) struct Canvas {
    sampler: Sampler,
    latents: Vec<f32>,
    shape: [usize; 3],
    noise: NoiseKey,
    /// What its calls of the model cost: each is shared by all pictures that it is for.
    cost: f64,
}

impl Canvas {
    pub(super) fn new(schedule: &Arc<Schedule>, seed: u64, picture: u32, shape: [usize; 3]) -> Self {
        let noise = NoiseKey { seed, picture, step: 0 };
        let sampler = Sampler::new(schedule.clone());
        let mut latents = noise.normals(shape.iter().product());
        sampler.start(&mut latents);
        Self { sampler, latents, shape, noise, cost: 0.0 }
    }

    /// Index of the picture in its request.
    pub(super) fn index(&self) -> u32 {
        self.noise.picture
    }

    /// Channels, height and width of the latents.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub(super) fn is_done(&self) -> bool {
        self.sampler.left() == 0
    }

    /// Batches that it took: one half, if another picture was with it all the time.
    pub(super) fn batches(&self) -> f64 {
        self.cost / self.sampler.done().max(1) as f64
    }

    /// What the model is to be shown, and at which timestep.
    pub(super) fn input(&self) -> (Vec<f32>, f32) {
        let timestep = self.sampler.timestep().unwrap_or_default();
        (self.sampler.model_input(&self.latents).collect(), timestep as f32)
    }

    /// Takes a step with the model's answer to a batch of so many pictures.
    pub(super) fn step(&mut self, output: &[f32], together: usize) -> Result<(), PaintError> {
        self.noise.step += 1;
        self.cost += (together as f64).recip();
        let noise = if self.sampler.needs_noise() { self.noise.normals(self.latents.len()) } else { Vec::new() };
        self.sampler.step(output, &mut self.latents, &noise).map_err(WorkerError::of)?;
        Ok(self.ensure_finite(&self.latents, "latents")?)
    }

    pub(super) fn sketch(&self, together: usize) -> Sketch<'_> {
        let (done, left) = (self.sampler.done() as u32, self.sampler.left() as u32);
        let (index, latents, shape) = (self.noise.picture, self.sampler.clean(), self.shape);
        Sketch { index, steps: (done, done + left), together, latents, shape }
    }

    /// Alone, for the decoder needs more memory for one picture than the UNet for a batch.
    pub(super) fn decode(&self, model: &Model) -> Result<Picture, PaintError> {
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
