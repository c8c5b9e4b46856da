//! A scheduler file as one sampler reads it.

use shanshui_pipeline::fields::FieldError;

use super::kind::{SamplerKind, Solver};
use super::levels::Levels;
use crate::diffusers::scheduler::{PredictionType, SchedulerConfig, TimestepSpacing};

/// What the solvers make their tables of: the file, with the defaults of the class that walks where the
/// file is silent.
pub(super) struct Walk<'a> {
    pub(super) config: &'a SchedulerConfig,
    pub(super) levels: Levels,
    pub(super) spacing: TimestepSpacing,
    pub(super) offset: usize,
    pub(super) karras: bool,
    pub(super) steps: usize,
}

impl<'a> Walk<'a> {
    /// # Errors
    /// When the sampler cannot walk so many steps of this training.
    pub(super) fn new(kind: SamplerKind, config: &'a SchedulerConfig, steps: usize) -> Result<Self, FieldError> {
        let solver = kind.solver();
        let most = solver.most_steps(config);
        if !(1..=most).contains(&steps) {
            return Err(FieldError::new("picture.steps", steps, format!("1 to {most} for this model and sampler")));
        }
        // The pipeline of diffusers sets 1 wherever its scheduler has another value, be it that of the file
        // or the default of the file's class; a class that is swapped in has its own default, 0.
        let repaired = config.steps_offset.is_some() || solver.class() == config.class;
        Ok(Self {
            levels: Levels::new(config, solver),
            spacing: config.timestep_spacing.unwrap_or(solver.default_spacing()),
            offset: usize::from(repaired),
            karras: kind.is_karras(),
            config,
            steps,
        })
    }

    pub(super) fn prediction(&self) -> PredictionType {
        self.config.prediction_type
    }
}

impl Solver {
    /// Steps that the training schedule has room for.
    pub(super) fn most_steps(self, config: &SchedulerConfig) -> usize {
        let total = config.num_train_timesteps;
        match self {
            // These count the end of the walk as one more timestep.
            Self::DpmPp2m { .. } | Self::UniPc => total - 1,
            Self::Lcm | Self::Tcd => config.original_inference_steps.min(total),
            _ => total,
        }
    }
}
