//! A walk as a table of coefficients.

use anyhow::{Result, ensure};

use super::kind::{SamplerKind, Solver};
use super::levels::Levels;
use super::{ddim, dpm, euler};
use crate::diffusers::scheduler::{PredictionType, SchedulerConfig};

/// All that a sampler does, step by step, for one model, kind and number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    steps: Vec<Step>,
    init_noise_sigma: f64,
}

impl Schedule {
    /// The walk of `steps` steps over the noise levels that the model was trained on.
    ///
    /// # Errors
    /// When the model's training schedule cannot be walked in so many steps.
    pub fn new(kind: SamplerKind, config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let levels = Levels::new(config);
        let most = levels.len() - usize::from(kind.solver() == Solver::DpmPp2m);
        ensure!((1..=most).contains(&steps), "picture.steps: {steps} is not allowed; allowed: 1 to {most}");
        let (init_noise_sigma, steps) = match kind.solver() {
            Solver::Ddim => (1.0, ddim::steps(config, &levels, steps)),
            Solver::Euler { .. } => euler::steps(config, &levels, steps, kind),
            Solver::DpmPp2m => (1.0, dpm::steps(config, &levels, steps, kind)),
        };
        let last = (levels.len() - 1) as f64;
        let fits = steps.iter().all(|step| (0.0..=last).contains(&step.timestep));
        ensure!(fits, "scheduler: steps_offset {} leads beyond timestep {last}", config.steps_offset);
        Ok(Self { steps, init_noise_sigma })
    }

    /// Number of steps.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a schedule has at least one step")]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Standard deviation of the latents before the first step.
    #[must_use]
    pub fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    /// The timesteps told to the model, in training steps, falling.
    pub fn timesteps(&self) -> impl Iterator<Item = f64> {
        self.steps.iter().map(|step| step.timestep)
    }

    pub(super) fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index)
    }
}

/// One step, as coefficients of what it reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) timestep: f64,
    /// Factor on the latents before the model sees them.
    pub(super) input_scale: f64,
    /// The clean sample, as predicted.
    pub(super) clean: Mix,
    /// Bound of the clean sample's values.
    pub(super) clip: Option<f64>,
    /// The latents of the next timestep.
    pub(super) next: Next,
}

/// A sum of the latents and the model's output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mix {
    pub(super) sample: f64,
    pub(super) output: f64,
}

/// The latents of the next timestep, as a sum over all that a sampler may know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Next {
    pub(super) sample: f64,
    pub(super) output: f64,
    pub(super) clean: f64,
    /// Of the clean sample that the step before predicted.
    pub(super) previous: f64,
    pub(super) noise: f64,
}

impl Step {
    /// The next latent and the clean sample for one element.
    pub(super) fn apply(&self, sample: f32, output: f32, previous: f32, noise: f32) -> (f32, f32) {
        let [sample, output, previous, noise] = [sample, output, previous, noise].map(f64::from);
        let mut clean = self.clean.sample * sample + self.clean.output * output;
        if let Some(bound) = self.clip {
            clean = clean.clamp(-bound, bound);
        }
        let w = &self.next;
        let next = w.sample * sample + w.output * output + w.clean * clean + w.previous * previous + w.noise * noise;
        (next as f32, clean as f32)
    }
}

/// The clean sample where `sample = alpha * clean + sigma * noise`, with squares that add to one.
pub(super) fn clean_of(prediction: PredictionType, alpha: f64, sigma: f64) -> Mix {
    match prediction {
        PredictionType::Epsilon => Mix { sample: 1.0 / alpha, output: -sigma / alpha },
        PredictionType::VPrediction => Mix { sample: alpha, output: -sigma },
        PredictionType::Sample => Mix { sample: 0.0, output: 1.0 },
    }
}

/// The noise, in the same terms.
pub(super) fn noise_of(prediction: PredictionType, alpha: f64, sigma: f64) -> Mix {
    match prediction {
        PredictionType::Epsilon => Mix { sample: 0.0, output: 1.0 },
        PredictionType::VPrediction => Mix { sample: sigma, output: alpha },
        PredictionType::Sample => Mix { sample: 1.0 / sigma, output: -alpha / sigma },
    }
}

/// Signal and noise, with squares that add to one, of a noise level `sigma` over signal 1.
pub(super) fn alpha_sigma(level: f64) -> (f64, f64) {
    let alpha = 1.0 / (level * level + 1.0).sqrt();
    (alpha, level * alpha)
}
