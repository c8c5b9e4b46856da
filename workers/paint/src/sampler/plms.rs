//! Pseudo linear multistep: PNDM (Liu et al., arXiv:2202.09778) without its Runge-Kutta start, as in
//! latent diffusion. Adams-Bashforth over the predicted noise, steps by equation 9.

use super::schedule::{Mix, Step, clean_of, noise_of};
use super::spacing;
use super::sum::Sum;
use super::walk::Walk;
use crate::diffusers::scheduler::PredictionType;

/// The first step is taken twice: the second time with the mean of the noise at both its ends.
pub(super) fn steps(walk: &Walk<'_>) -> Vec<Step> {
    let mut timesteps: Vec<f64> = spacing::timesteps(walk).into_iter().map(f64::round_ties_even).collect();
    if let Some(second) = timesteps.get(1).copied() {
        timesteps.insert(1, second);
    }
    timesteps.iter().enumerate().map(|(call, timestep)| step(walk, call, *timestep)).collect()
}

fn step(walk: &Walk<'_>, call: usize, timestep: f64) -> Step {
    let gap = walk.levels.len() / walk.steps;
    let told = timestep as usize;
    let again = call == 1;
    let (now, after) = if again { (told + gap, Some(told)) } else { (told, told.checked_sub(gap)) };
    let from = if again { Sum::BASE } else { Sum::SAMPLE };
    let signal = walk.levels.signal(told).unwrap_or_default();
    let (alpha, sigma) = (signal.sqrt(), (1.0 - signal).sqrt());
    let newest = told_noise(walk, alpha, sigma).sum();
    let next = next(
        walk,
        combined(call, newest),
        from,
        [walk.levels.signal(now).unwrap_or(signal), walk.levels.signal_or_final(after)],
    );
    let clean = clean_of(walk.prediction(), alpha, sigma);
    let keep = (!again).then_some(newest);
    Step { keep, base: (call == 0).then_some(Sum::SAMPLE), ..Step::new(timestep, clean, next) }
}

/// What is kept of an answer: velocities stay velocities until the step is made.
fn told_noise(walk: &Walk<'_>, alpha: f64, sigma: f64) -> Mix {
    match walk.prediction() {
        PredictionType::Sample => noise_of(PredictionType::Sample, alpha, sigma),
        PredictionType::Epsilon | PredictionType::VPrediction => Mix { sample: 0.0, output: 1.0 },
    }
}

/// The newest answer with those before it.
fn combined(call: usize, newest: Sum) -> Sum {
    let past = |weights: &[f64]| {
        let (first, rest) = (weights[0], &weights[1..]);
        rest.iter().enumerate().fold(newest.times(first), |sum, (back, weight)| sum.plus(*weight, Sum::past(back)))
    };
    match call {
        0 => newest,
        1 => past(&[0.5, 0.5]),
        2 => past(&[1.5, -0.5]),
        3 => past(&[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0]),
        _ => past(&[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0]),
    }
}

/// Equation 9, from the signal `now` to that of `after`.
fn next(walk: &Walk<'_>, answer: Sum, from: Sum, [now, after]: [f64; 2]) -> Sum {
    let noise = match walk.prediction() {
        PredictionType::VPrediction => answer.times(now.sqrt()).plus((1.0 - now).sqrt(), from),
        PredictionType::Epsilon | PredictionType::Sample => answer,
    };
    let divisor = now * (1.0 - after).sqrt() + (now * (1.0 - now) * after).sqrt();
    from.times((after / now).sqrt()).plus(-(after - now) / divisor, noise)
}
