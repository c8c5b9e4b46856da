//! DPM-Solver++ as a stochastic equation with two calls a step: `DPM++ SDE` of k-diffusion.
//!
//! The noise of a step is a path of Brownian motion in the noise level. It is looked at in the middle of
//! the step and at its end, so the noise at the end holds that of the middle.

use super::euler;
use super::levels_walk::{LevelWalk, clean_at};
use super::schedule::Step;
use super::spacing;
use super::sum::Sum;
use super::walk::Walk;

pub(super) fn steps(walk: &Walk<'_>) -> (f64, Vec<Step>) {
    let LevelWalk { init, timesteps, sigmas } = LevelWalk::new(walk);
    let trained = walk.levels.sigmas();
    let mut steps = Vec::with_capacity(2 * walk.steps);
    for (timestep, pair) in timesteps.iter().zip(sigmas.windows(2)) {
        let (from, to) = (pair[0], pair[1]);
        if to == 0.0 {
            steps.push(clean_at(walk, *timestep, from, euler::next(from, to, false)));
            continue;
        }
        // In the middle of the logarithms.
        let middle = (from * to).sqrt();
        let first = clean_at(walk, *timestep, from, euler::next(from, middle, true));
        steps.push(Step { keep: Some(Sum::NOISE), base: Some(Sum::SAMPLE), ..first });
        let Sum { sample, clean, noise: up, .. } = euler::next(from, to, true);
        let (early, late) = (((from - middle) / (from - to)).sqrt(), ((middle - to) / (from - to)).sqrt());
        let noise = Sum::past(0).times(early).plus(late, Sum::NOISE);
        let next = Sum::BASE.times(sample).plus(clean, Sum::CLEAN).plus(up, noise);
        steps.push(clean_at(walk, spacing::timestep_of(middle, &trained), middle, next));
    }
    (init, steps)
}
