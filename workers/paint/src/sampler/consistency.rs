//! Samplers of models that were distilled to jump: latent consistency (Luo et al., arXiv:2310.04378) and
//! trajectory consistency (Zheng et al., arXiv:2402.19159).

use super::schedule::{Step, clean_of, noise_of};
use super::sum::Sum;
use super::walk::Walk;

/// Standard deviation of the data that the boundary condition is made for.
const SIGMA_DATA: f64 = 0.5;
/// Share of each jump that is fresh noise, gamma in the paper and `eta` in diffusers.
const GAMMA: f64 = 0.3;

/// To the clean sample, and up again to the next timestep by fresh noise.
pub(super) fn lcm(walk: &Walk<'_>) -> Vec<Step> {
    let timesteps = timesteps(walk);
    let step = |(index, &timestep): (usize, &usize)| {
        let (alpha, sigma) = signal_noise(walk, timestep);
        let scaled = timestep as f64 * walk.config.timestep_scaling;
        let skip = SIGMA_DATA.powi(2) / (scaled.powi(2) + SIGMA_DATA.powi(2));
        let out = scaled / scaled.hypot(SIGMA_DATA);
        let denoised = Sum::CLEAN.times(out).plus(skip, Sum::SAMPLE);
        let next = timesteps.get(index + 1).map_or(denoised, |after| {
            let (alpha, sigma) = signal_noise(walk, *after);
            denoised.times(alpha).plus(sigma, Sum::NOISE)
        });
        Step::new(timestep as f64, clean_of(walk.prediction(), alpha, sigma), next)
    };
    timesteps.iter().enumerate().map(step).collect()
}

/// Beyond the next timestep, by as much as `GAMMA` says, and up again by fresh noise.
pub(super) fn tcd(walk: &Walk<'_>) -> Vec<Step> {
    let timesteps = timesteps(walk);
    let step = |(index, &timestep): (usize, &usize)| {
        let (alpha, sigma) = signal_noise(walk, timestep);
        let after = timesteps.get(index + 1).copied();
        let beyond = ((1.0 - GAMMA) * after.unwrap_or(0) as f64).floor() as usize;
        let (alpha_beyond, sigma_beyond) = signal_noise(walk, beyond);
        let noise = noise_of(walk.prediction(), alpha, sigma).sum();
        let jump = noise.times(sigma_beyond).plus(alpha_beyond, Sum::CLEAN);
        let next = after.map_or(jump, |after| {
            let ratio = (signal_noise(walk, after).0 / alpha_beyond).powi(2);
            jump.times(ratio.sqrt()).plus((1.0 - ratio).sqrt(), Sum::NOISE)
        });
        Step::new(timestep as f64, clean_of(walk.prediction(), alpha, sigma), next)
    };
    timesteps.iter().enumerate().map(step).collect()
}

fn signal_noise(walk: &Walk<'_>, timestep: usize) -> (f64, f64) {
    let signal = walk.levels.signal(timestep).unwrap_or_default();
    (signal.sqrt(), (1.0 - signal).sqrt())
}

/// Some of the timesteps that the model was distilled at, about evenly, from the last one on.
fn timesteps(walk: &Walk<'_>) -> Vec<usize> {
    let distilled = walk.config.original_inference_steps.min(walk.levels.len());
    let gap = walk.levels.len() / distilled;
    let stride = distilled as f64 / walk.steps as f64;
    (0..walk.steps).map(|i| (distilled - (i as f64 * stride) as usize) * gap - 1).collect()
}
