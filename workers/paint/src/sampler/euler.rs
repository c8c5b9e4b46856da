//! Euler and Euler ancestral: Karras et al., arXiv:2206.00364, algorithm 1 without churn, and the
//! ancestral step of k-diffusion. Latents carry noise of standard deviation `sigma` over signal 1.

use super::kind::{SamplerKind, Solver};
use super::levels::Levels;
use super::schedule::{Mix, Next, Step, alpha_sigma, clean_of};
use super::spacing;
use crate::diffusers::scheduler::{SchedulerConfig, TimestepSpacing};

/// The standard deviation of the first latents, and the steps.
pub(super) fn steps(config: &SchedulerConfig, levels: &Levels, steps: usize, kind: SamplerKind) -> (f64, Vec<Step>) {
    let trained = levels.sigmas();
    let mut timesteps = spacing::timesteps(config, steps);
    let mut sigmas: Vec<f64> = timesteps.iter().map(|&t| spacing::sigma_at(t, &trained)).collect();
    if kind.is_karras() {
        sigmas = spacing::karras(sigmas[0], sigmas[steps - 1], steps);
        timesteps = sigmas.iter().map(|&sigma| spacing::timestep_of(sigma, &trained)).collect();
    }
    let max = sigmas.iter().copied().fold(0.0, f64::max);
    // Where the walk starts below the last training timestep, the latents hold signal as well.
    let leading = config.timestep_spacing == TimestepSpacing::Leading;
    let init = if leading { max.hypot(1.0) } else { max };
    sigmas.push(0.0);
    let walk = timesteps.into_iter().zip(sigmas.windows(2)).map(|(timestep, pair)| {
        let (sigma, to) = (pair[0], pair[1]);
        let (alpha, unit_sigma) = alpha_sigma(sigma);
        let clean = clean_of(config.prediction_type, alpha, unit_sigma);
        Step {
            timestep,
            input_scale: alpha,
            clean: Mix { sample: clean.sample * alpha, ..clean },
            clip: None,
            next: next(sigma, to, kind.solver() == (Solver::Euler { ancestral: true })),
        }
    });
    (init, walk.collect())
}

/// From noise level `sigma` straight to `to`, or below it and up again by fresh noise.
fn next(sigma: f64, to: f64, ancestral: bool) -> Next {
    let up = if ancestral { to * (1.0 - (to / sigma).powi(2)).max(0.0).sqrt() } else { 0.0 };
    let down = (to * to - up * up).max(0.0).sqrt();
    Next { sample: down / sigma, clean: 1.0 - down / sigma, noise: up, ..Next::default() }
}
