//! Heun's method in the noise level: Karras et al., arXiv:2206.00364, algorithm 1 without churn.

use super::euler;
use super::levels_walk::{LevelWalk, clean_at, slope};
use super::schedule::Step;
use super::sum::Sum;
use super::walk::Walk;

/// Two calls a step: one at its start, one where Euler's method would end. The last step, to no noise, has
/// only the first.
pub(super) fn steps(walk: &Walk<'_>) -> (f64, Vec<Step>) {
    let LevelWalk { init, timesteps, sigmas } = LevelWalk::new(walk);
    let mut steps = Vec::with_capacity(2 * walk.steps);
    for (index, (timestep, pair)) in timesteps.iter().zip(sigmas.windows(2)).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        let first = clean_at(walk, *timestep, from, euler::next(from, to, false));
        let Some(after) = timesteps.get(index + 1) else {
            steps.push(first);
            break;
        };
        steps.push(Step { keep: Some(slope(from)), base: Some(Sum::SAMPLE), ..first });
        let half = (to - from) / 2.0;
        steps.push(clean_at(walk, *after, to, Sum::BASE.plus(half, Sum::past(0)).plus(half, slope(to))));
    }
    (init, steps)
}
