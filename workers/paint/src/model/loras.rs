//! The adaptations a worker has, and those a job wants.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use shanshui_pipeline::fields::FieldError;

use super::Model;
use crate::error::{PaintError, WorkerError};
use crate::lora::{Lora, Merge};

/// Strongest weight of an adaptation, in either direction.
pub(crate) const MAX_WEIGHT: f64 = 4.0;

/// All files, how strong each is usually, and how strong it is in the networks now.
#[derive(Default)]
pub(super) struct Loras {
    known: Vec<(Arc<Lora>, f64)>,
    now: Vec<f64>,
}

impl Loras {
    pub(super) fn open(files: &[(PathBuf, f64)]) -> Result<Self> {
        let mut known: Vec<(Arc<Lora>, f64)> = Vec::with_capacity(files.len());
        for (path, weight) in files {
            let lora = Lora::open(path)?;
            let twice = known.iter().any(|(other, _)| other.name() == lora.name());
            ensure!(!twice, "lora: {:?} is the name of two files", lora.name());
            let fits = weight.abs() <= MAX_WEIGHT;
            ensure!(fits, "lora: {}={weight} is not allowed; allowed: -{MAX_WEIGHT} to {MAX_WEIGHT}", path.display());
            known.push((Arc::new(lora), *weight));
        }
        let now = known.iter().map(|(_, weight)| *weight).collect();
        Ok(Self { known, now })
    }

    pub(super) fn begin(&self) {
        self.known.iter().for_each(|(lora, _)| lora.begin());
    }

    pub(super) fn check_used(&self) -> Result<()> {
        self.known.iter().try_for_each(|(lora, _)| lora.check_used())
    }

    /// All, those of weight zero too: what does not fit the model shows at the start.
    pub(super) fn usual(&self) -> Vec<Merge> {
        self.merges(&self.now)
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = (String, String)> {
        self.known.iter().map(|(lora, _)| (format!("lora/{}", lora.name()), lora.sha256()))
    }

    fn merges(&self, weights: &[f64]) -> Vec<Merge> {
        let known = self.known.iter().zip(weights);
        known.map(|((lora, _), weight)| Merge::new(Arc::clone(lora), *weight)).collect()
    }

    /// The weights of a job: its own where it names an adaptation, else the usual ones.
    fn weights(&self, wanted: &[(String, f64)]) -> Result<Vec<f64>, FieldError> {
        let mut weights: Vec<f64> = self.known.iter().map(|(_, weight)| *weight).collect();
        for (name, weight) in wanted {
            let place = self.known.iter().position(|(lora, _)| lora.name() == name);
            let Some(place) = place else {
                let names: Vec<_> = self.known.iter().map(|(lora, _)| lora.name()).collect();
                let names = if names.is_empty() { "none on this worker".to_owned() } else { names.join(", ") };
                return Err(FieldError::new("picture.loras", name, names));
            };
            if !(-MAX_WEIGHT..=MAX_WEIGHT).contains(weight) {
                let allowed = format!("-{MAX_WEIGHT} to {MAX_WEIGHT}");
                return Err(FieldError::new(&format!("picture.loras.{name}"), weight, allowed));
            }
            weights[place] = *weight;
        }
        Ok(weights)
    }
}

impl Model {
    /// Brings the networks to what a job wants of the adaptations, by name and weight. Others than before
    /// make text encoder and UNet load anew, beside the old ones, which takes seconds and memory.
    ///
    /// # Errors
    /// A name that is not here, a weight out of bounds, or a device that fails.
    pub fn adapt(&mut self, wanted: &[(String, f64)]) -> Result<(), PaintError> {
        let weights = self.loras.weights(wanted)?;
        if weights == self.loras.now {
            return Ok(());
        }
        let merges = self.loras.merges(&weights);
        let loaded = self.parts.adapted(&self.configs, &merges, (self.dtype, &self.device));
        (self.text, self.unet) = loaded.map_err(|error| PaintError::Worker(WorkerError::of(error)))?;
        self.loras.now = weights;
        Ok(())
    }
}
