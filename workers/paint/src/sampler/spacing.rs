//! Which noise levels a walk of few steps visits (Lin et al., arXiv:2305.08891, table 2).

use super::levels::even;
use super::walk::Walk;
use crate::diffusers::scheduler::TimestepSpacing;

/// The exponent of Karras et al., arXiv:2206.00364, equation 5.
const RHO: f64 = 7.0;

/// `steps` timesteps, falling, where the last one walks to no noise.
pub(super) fn timesteps(walk: &Walk<'_>) -> Vec<f64> {
    let (total, steps) = (walk.levels.len(), walk.steps);
    match walk.spacing {
        TimestepSpacing::Linspace => even(0.0, (total - 1) as f64, steps).into_iter().rev().collect(),
        TimestepSpacing::Leading => leading(total / steps, walk.offset, steps),
        TimestepSpacing::Trailing => trailing(total as f64, steps),
    }
}

/// The same for solvers that count the end of the walk as one more timestep of the spacing.
pub(super) fn timesteps_before_last(walk: &Walk<'_>) -> Vec<f64> {
    let (total, steps) = (walk.levels.len(), walk.steps);
    match walk.spacing {
        TimestepSpacing::Linspace => {
            let mut all = even(0.0, (total - 1) as f64, steps + 1);
            all.reverse();
            all.truncate(steps);
            all
        }
        TimestepSpacing::Leading => {
            let ratio = total / (steps + 1);
            leading(ratio, walk.offset + ratio, steps)
        }
        TimestepSpacing::Trailing => trailing(total as f64, steps),
    }
}

fn leading(ratio: usize, offset: usize, steps: usize) -> Vec<f64> {
    (0..steps).rev().map(|i| (i * ratio + offset) as f64).collect()
}

/// Counts down from the end by `total / steps`, in the order of operations of numpy's `arange`, on
/// which the rounding of halves depends.
fn trailing(total: f64, steps: usize) -> Vec<f64> {
    let gap = (total - total / steps as f64) - total;
    (0..steps).map(|i| (total + i as f64 * gap).round_ties_even() - 1.0).collect()
}

/// `steps` noise levels from `max` down to `min`, even in their seventh root.
pub(super) fn karras(max: f64, min: f64, steps: usize) -> Vec<f64> {
    let (max, min) = (max.powf(1.0 / RHO), min.powf(1.0 / RHO));
    even(0.0, 1.0, steps).into_iter().map(|ramp| (max + ramp * (min - max)).powf(RHO)).collect()
}

/// The noise level at a timestep that may lie between two of the training.
pub(super) fn sigma_at(timestep: f64, sigmas: &[f64]) -> f64 {
    let low = (timestep.max(0.0) as usize).min(sigmas.len() - 1);
    let high = (low + 1).min(sigmas.len() - 1);
    sigmas[low] + (sigmas[high] - sigmas[low]) * (timestep - low as f64)
}

/// The timestep that has a noise level, linear in its logarithm and within the training.
pub(super) fn timestep_of(sigma: f64, sigmas: &[f64]) -> f64 {
    let above = sigmas.partition_point(|&level| level <= sigma).clamp(1, (sigmas.len() - 1).max(1));
    let (low, high) = (sigmas[above - 1].ln(), sigmas[above.min(sigmas.len() - 1)].ln());
    let share = if high > low { (sigma.ln() - low) / (high - low) } else { 0.0 };
    (above - 1) as f64 + share.clamp(0.0, 1.0)
}
