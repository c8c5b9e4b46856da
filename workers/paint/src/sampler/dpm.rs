//! DPM-Solver++ (2M): Lu et al., arXiv:2211.01095, algorithm 2, data prediction, midpoint form.

use super::kind::SamplerKind;
use super::levels::Levels;
use super::schedule::{Next, Step, alpha_sigma, clean_of};
use super::spacing;
use crate::diffusers::scheduler::{BetaSchedule, SchedulerConfig};

/// The first step and the last, which goes to no noise, are of first order, the others of second.
pub(super) fn steps(config: &SchedulerConfig, levels: &Levels, steps: usize, kind: SamplerKind) -> Vec<Step> {
    let (timesteps, mut sigmas) = walk(config, &levels.sigmas(), steps, kind);
    sigmas.push(0.0);
    (0..steps)
        .map(|i| {
            let (alpha, sigma) = alpha_sigma(sigmas[i]);
            let before = (i > 0 && i + 1 < steps).then(|| sigmas[i - 1]);
            Step {
                timestep: timesteps[i],
                input_scale: 1.0,
                clean: clean_of(config.prediction_type, alpha, sigma),
                clip: None,
                next: next(before, sigmas[i], sigmas[i + 1]),
            }
        })
        .collect()
}

fn walk(config: &SchedulerConfig, trained: &[f64], steps: usize, kind: SamplerKind) -> (Vec<f64>, Vec<f64>) {
    if !kind.is_karras() {
        let timesteps: Vec<f64> =
            spacing::timesteps_before_last(config, steps).into_iter().map(f64::round_ties_even).collect();
        let sigmas = timesteps.iter().map(|&t| spacing::sigma_at(t, trained)).collect();
        return (timesteps, sigmas);
    }
    let sigmas = spacing::karras(trained[trained.len() - 1], trained[0], steps);
    // As in diffusers: the model is told whole timesteps, cut off rather than rounded for cosine.
    let whole = if config.beta_schedule == BetaSchedule::SquaredcosCapV2 { f64::trunc } else { f64::round_ties_even };
    let timesteps = sigmas.iter().map(|&sigma| whole(spacing::timestep_of(sigma, trained))).collect();
    (timesteps, sigmas)
}

/// From noise level `from` to `to`; with the level `before` of the step before, to second order.
///
/// With `lambda = -ln(level)`, `exp(-h)` is the ratio of the levels.
fn next(before: Option<f64>, from: f64, to: f64) -> Next {
    let ((_, sigma_from), (alpha, sigma)) = (alpha_sigma(from), alpha_sigma(to));
    let gain = alpha * (1.0 - to / from);
    let extra = before.map_or(0.0, |before| {
        let (h, h_before) = ((from / to).ln(), (before / from).ln());
        0.5 * gain * h / h_before
    });
    Next { sample: sigma / sigma_from, clean: gain + extra, previous: -extra, ..Next::default() }
}
