//! What the solvers in the noise level have in common: latents carry noise of standard deviation `sigma`
//! over signal 1, and are scaled to variance 1 for the model.

use super::schedule::{Mix, Step, alpha_sigma, clean_of};
use super::spacing;
use super::sum::Sum;
use super::walk::Walk;
use crate::diffusers::scheduler::TimestepSpacing;

/// Timesteps and noise levels of a walk down to none.
pub(super) struct LevelWalk {
    /// Standard deviation of the first latents.
    pub(super) init: f64,
    pub(super) timesteps: Vec<f64>,
    /// One more than timesteps: the last is zero.
    pub(super) sigmas: Vec<f64>,
}

impl LevelWalk {
    pub(super) fn new(walk: &Walk<'_>) -> Self {
        let trained = walk.levels.sigmas();
        let mut timesteps = spacing::timesteps(walk);
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&t| spacing::sigma_at(t, &trained)).collect();
        if walk.karras {
            sigmas = spacing::karras(sigmas[0], sigmas[walk.steps - 1], walk.steps);
            timesteps = sigmas.iter().map(|&sigma| spacing::timestep_of(sigma, &trained)).collect();
        }
        let max = sigmas.iter().copied().fold(0.0, f64::max);
        // Where the walk starts below the last training timestep, the latents hold signal as well.
        let init = if walk.spacing == TimestepSpacing::Leading { max.hypot(1.0) } else { max };
        sigmas.push(0.0);
        Self { init, timesteps, sigmas }
    }
}

/// A step that starts at noise level `sigma` and leads to `next`.
pub(super) fn clean_at(walk: &Walk<'_>, timestep: f64, sigma: f64, next: Sum) -> Step {
    let (alpha, unit_sigma) = alpha_sigma(sigma);
    let clean = clean_of(walk.prediction(), alpha, unit_sigma);
    let clean = Mix { sample: clean.sample * alpha, ..clean };
    Step { input_scale: alpha, ..Step::new(timestep, clean, next) }
}

/// The slope of the latents in the noise level, at noise level `sigma`.
pub(super) fn slope(sigma: f64) -> Sum {
    Sum { sample: 1.0 / sigma, clean: -1.0 / sigma, ..Sum::default() }
}
