//! DDIM with eta 0: Song, Meng and Ermon, arXiv:2010.02502, equation 12.

use super::schedule::{Step, clean_of, noise_of};
use super::spacing;
use super::sum::Sum;
use super::walk::Walk;

/// As in diffusers, each step goes down by the whole part of `training steps / steps`, also where
/// the spacing of the timesteps is not a whole number.
pub(super) fn steps(walk: &Walk<'_>) -> Vec<Step> {
    let gap = walk.levels.len() / walk.steps;
    let step = |timestep: f64| {
        let timestep = timestep.round_ties_even();
        let now = timestep as usize;
        let signal = walk.levels.signal(now).unwrap_or_default();
        let after = walk.levels.signal_or_final(now.checked_sub(gap));
        let (alpha, sigma) = (signal.sqrt(), (1.0 - signal).sqrt());
        let noise = noise_of(walk.prediction(), alpha, sigma).sum();
        let next = noise.times((1.0 - after).sqrt()).plus(after.sqrt(), Sum::CLEAN);
        Step::new(timestep, clean_of(walk.prediction(), alpha, sigma), next)
    };
    spacing::timesteps(walk).into_iter().map(step).collect()
}
