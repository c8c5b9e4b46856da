//! Euler and Euler ancestral: Karras et al., arXiv:2206.00364, algorithm 1 without churn, and the
//! ancestral step of k-diffusion. Latents carry noise of standard deviation `sigma` over signal 1.

use super::levels_walk::{LevelWalk, clean_at};
use super::schedule::Step;
use super::sum::Sum;
use super::walk::Walk;

/// The standard deviation of the first latents, and the steps.
pub(super) fn steps(walk: &Walk<'_>, ancestral: bool) -> (f64, Vec<Step>) {
    let LevelWalk { init, timesteps, mut sigmas } = LevelWalk::new(walk);
    if let Some(last) = sigmas.last_mut().filter(|_| !ancestral && walk.config.ends_at_sigma_min()) {
        *last = walk.levels.sigmas()[0];
    }
    let steps = timesteps.iter().zip(sigmas.windows(2));
    let steps = steps.map(|(timestep, pair)| clean_at(walk, *timestep, pair[0], next(pair[0], pair[1], ancestral)));
    (init, steps.collect())
}

/// From noise level `sigma` straight to `to`, or below it and up again by fresh noise.
pub(super) fn next(sigma: f64, to: f64, ancestral: bool) -> Sum {
    let up = if ancestral { to * (1.0 - (to / sigma).powi(2)).max(0.0).sqrt() } else { 0.0 };
    let down = (to * to - up * up).max(0.0).sqrt();
    Sum { sample: down / sigma, clean: 1.0 - down / sigma, noise: up, ..Sum::default() }
}
