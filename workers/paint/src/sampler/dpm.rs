//! DPM-Solver++ (2M): Lu et al., arXiv:2211.01095, algorithm 2, data prediction; and its stochastic form
//! (SDE-DPM-Solver++, the paper's appendix).

use super::schedule::{Step, alpha_sigma, clean_of};
use super::spacing;
use super::sum::Sum;
use super::walk::Walk;
use crate::diffusers::scheduler::{BetaSchedule, SchedulerConfig};

/// Below this many steps, diffusers makes the last one of first order where the file does not forbid it.
const FEW: usize = 15;

/// The first step, and mostly the last, are of first order, the others of second.
pub(super) fn steps(walk: &Walk<'_>, sde: bool) -> Vec<Step> {
    let (timesteps, sigmas) = levels(walk);
    let count = timesteps.len();
    let step = |(index, timestep): (usize, &f64)| {
        let (alpha, sigma) = alpha_sigma(sigmas[index]);
        let second = walk.config.solver_order > 1 && index > 0 && !(index + 1 == count && plain_end(walk));
        let before = second.then(|| sigmas[index - 1]);
        let form = Form { sde, heun: walk.config.is_heun() };
        let next = next(form, before, sigmas[index], sigmas[index + 1]);
        let clean = clean_of(walk.prediction(), alpha, sigma);
        Step { keep: Some(Sum::CLEAN), ..Step::new(*timestep, clean, next) }
    };
    timesteps.iter().enumerate().map(step).collect()
}

/// Timesteps, and noise levels with the one that the walk ends at.
pub(super) fn levels(walk: &Walk<'_>) -> (Vec<f64>, Vec<f64>) {
    let trained = walk.levels.sigmas();
    let (timesteps, mut sigmas) = if walk.karras {
        let sigmas = spacing::karras(trained[trained.len() - 1], trained[0], walk.steps);
        let whole = rounding(walk.config);
        (sigmas.iter().map(|&sigma| whole(spacing::timestep_of(sigma, &trained))).collect(), sigmas)
    } else {
        let timesteps = spacing::timesteps_before_last(walk);
        let timesteps: Vec<f64> = timesteps.into_iter().map(f64::round_ties_even).collect();
        let sigmas = timesteps.iter().map(|&t| spacing::sigma_at(t, &trained)).collect();
        (timesteps, sigmas)
    };
    sigmas.push(if walk.config.ends_at_sigma_min() { trained[0] } else { 0.0 });
    (timesteps, sigmas)
}

/// As in diffusers: the model is told whole timesteps, cut off rather than rounded for cosine.
fn rounding(config: &SchedulerConfig) -> fn(f64) -> f64 {
    let cosine = config.beta_schedule == Some(BetaSchedule::SquaredcosCapV2);
    if cosine { f64::trunc } else { f64::round_ties_even }
}

fn plain_end(walk: &Walk<'_>) -> bool {
    let config = walk.config;
    config.euler_at_final || (config.lower_order_final && walk.steps < FEW) || !config.ends_at_sigma_min()
}

#[derive(Clone, Copy)]
struct Form {
    sde: bool,
    /// Heun's weight of the second order instead of the midpoint's.
    heun: bool,
}

/// From noise level `from` to `to`; with the level `before` of the step before, to second order.
///
/// With `lambda = -ln(level)` and `h` its change, `exp(-h)` is the ratio of the levels.
fn next(form: Form, before: Option<f64>, from: f64, to: f64) -> Sum {
    let ((_, sigma_from), (alpha, sigma)) = (alpha_sigma(from), alpha_sigma(to));
    let ratio = to / from;
    let power = if form.sde { ratio * ratio } else { ratio };
    let gain = alpha * (1.0 - power);
    let extra = before.map_or(0.0, |before| {
        let (h, h_before) = (-ratio.ln(), (before / from).ln());
        // What exp(-power) is of: h, or twice that.
        let length = if form.sde { 2.0 * h } else { h };
        let weight = if form.heun { alpha * (1.0 - (1.0 - power) / length) } else { 0.5 * gain };
        if h > 0.0 { weight * h / h_before } else { 0.0 }
    });
    Sum {
        sample: sigma / sigma_from * if form.sde { ratio } else { 1.0 },
        clean: gain + extra,
        past: [-extra, 0.0, 0.0],
        noise: if form.sde { sigma * (1.0 - power).sqrt() } else { 0.0 },
        ..Sum::default()
    }
}
