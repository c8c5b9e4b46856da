//! A walk as a table of coefficients.

use shanshui_pipeline::fields::FieldError;

use super::kind::{SamplerKind, Solver};
use super::sum::Sum;
use super::walk::Walk;
use super::{consistency, ddim, dpm, euler, heun, lms, plms, sde, unipc};
use crate::diffusers::scheduler::{PredictionType, SchedulerConfig, Thresholding};

/// All that a sampler does, call by call of the model, for one model, kind and number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    steps: Vec<Step>,
    init_noise_sigma: f64,
    thresholding: Option<Thresholding>,
}

impl Schedule {
    /// The walk of `steps` steps over the noise levels that the model was trained on.
    ///
    /// # Errors
    /// When the model's training schedule cannot be walked in so many steps.
    pub fn new(kind: SamplerKind, config: &SchedulerConfig, steps: usize) -> Result<Self, FieldError> {
        let walk = Walk::new(kind, config, steps)?;
        let (init_noise_sigma, table) = match kind.solver() {
            Solver::Ddim => (1.0, ddim::steps(&walk)),
            Solver::Euler { ancestral } => euler::steps(&walk, ancestral),
            Solver::DpmPp2m { sde } => (1.0, dpm::steps(&walk, sde)),
            Solver::Plms => (1.0, plms::steps(&walk)),
            Solver::Lms => lms::steps(&walk),
            Solver::Heun => heun::steps(&walk),
            Solver::UniPc => (1.0, unipc::steps(&walk)),
            Solver::DpmPpSde => sde::steps(&walk),
            Solver::Lcm => (1.0, consistency::lcm(&walk)),
            Solver::Tcd => (1.0, consistency::tcd(&walk)),
        };
        let last = (walk.levels.len() - 1) as f64;
        if !table.iter().all(|step| (0.0..=last).contains(&step.timestep)) {
            let allowed = format!("fewer, for the steps_offset of {} leads beyond timestep {last}", walk.offset);
            return Err(FieldError::new("picture.steps", steps, allowed));
        }
        let thresholding = config.thresholding().filter(|_| kind.solver().thresholds());
        Ok(Self { steps: table, init_noise_sigma, thresholding })
    }

    /// Number of calls of the model: for most samplers the number of steps.
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

    /// The timesteps told to the model, in training steps, in the order of the calls.
    pub fn timesteps(&self) -> impl Iterator<Item = f64> {
        self.steps.iter().map(|step| step.timestep)
    }

    pub(super) fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index)
    }

    pub(super) fn thresholding(&self) -> Option<Thresholding> {
        self.thresholding
    }
}

/// What one call of the model leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) timestep: f64,
    /// Factor on the latents before the model sees them.
    pub(super) input_scale: f64,
    /// The clean sample, as predicted.
    pub(super) clean: Mix,
    /// The latents that the next call starts from.
    pub(super) next: Sum,
    /// What later steps find first among the past.
    pub(super) keep: Option<Sum>,
    /// What later steps find put aside.
    pub(super) base: Option<Sum>,
}

impl Step {
    /// A step after which nothing is kept.
    pub(super) fn new(timestep: f64, clean: Mix, next: Sum) -> Self {
        Self { timestep, input_scale: 1.0, clean, next, keep: None, base: None }
    }

    pub(super) fn needs_noise(&self) -> bool {
        self.next.noise != 0.0 || self.keep.is_some_and(|keep| keep.noise != 0.0)
    }
}

/// A sum of the latents and the model's output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mix {
    pub(super) sample: f64,
    pub(super) output: f64,
}

impl Mix {
    pub(super) fn sum(self) -> Sum {
        Sum::SAMPLE.times(self.sample).plus(self.output, Sum::OUTPUT)
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
