//! Linear multistep (Adams-Bashforth over uneven steps) in the noise level, as in k-diffusion.

use super::levels_walk::{LevelWalk, clean_at, slope};
use super::schedule::Step;
use super::sum::{PAST, Sum};
use super::walk::Walk;

/// Slopes of so many steps go into one.
const ORDER: usize = PAST + 1;

pub(super) fn steps(walk: &Walk<'_>) -> (f64, Vec<Step>) {
    let LevelWalk { init, timesteps, sigmas } = LevelWalk::new(walk);
    let step = |(index, timestep): (usize, &f64)| {
        let order = ORDER.min(index + 1);
        let weight = |back| weight(&sigmas, index, order, back);
        let newest = Sum::SAMPLE.plus(weight(0), slope(sigmas[index]));
        let next = (1..order).fold(newest, |sum, back| sum.plus(weight(back), Sum::past(back - 1)));
        Step { keep: Some(slope(sigmas[index])), ..clean_at(walk, *timestep, sigmas[index], next) }
    };
    (init, timesteps.iter().enumerate().map(step).collect())
}

/// The integral from one noise level to the next of the Lagrange polynomial that is one at the level
/// `back` steps ago and zero at the others. Two points of Gauss are exact up to the third degree.
fn weight(sigmas: &[f64], index: usize, order: usize, back: usize) -> f64 {
    let (from, to) = (sigmas[index], sigmas[index + 1]);
    let own = sigmas[index - back];
    let others = || (0..order).filter(|other| *other != back).map(|other| sigmas[index - other]);
    let polynomial = |at: f64| others().map(|other| (at - other) / (own - other)).product::<f64>();
    let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
    let off = half / 3.0_f64.sqrt();
    half * (polynomial(middle - off) + polynomial(middle + off))
}
