//! The noise levels a model was trained on.

use std::f64::consts::FRAC_PI_2;

use super::kind::Solver;
use crate::diffusers::scheduler::{BetaSchedule, SchedulerConfig};

/// The cumulative product of `1 - beta` over the training timesteps: the share of signal, squared.
#[derive(Debug)]
pub(super) struct Levels {
    signal: Vec<f64>,
    /// The signal after the last step, for solvers that walk in timesteps.
    pub(super) final_signal: f64,
}

impl Levels {
    pub(super) fn new(config: &SchedulerConfig, solver: Solver) -> Self {
        let mut product = 1.0;
        let betas = config.trained_betas.clone().unwrap_or_else(|| betas(config, solver));
        let mut signal: Vec<f64> = betas
            .iter()
            .map(|beta| {
                product *= 1.0 - beta;
                product
            })
            .collect();
        if config.rescale_betas_zero_snr && solver.rescales() {
            rescale_to_zero_snr(&mut signal);
        }
        let to_one = config.set_alpha_to_one.unwrap_or(solver != Solver::Plms);
        let final_signal = if to_one { 1.0 } else { signal[0] };
        Self { signal, final_signal }
    }

    /// Number of training timesteps.
    pub(super) fn len(&self) -> usize {
        self.signal.len()
    }

    /// The share of signal at a timestep; `None` outside the training.
    pub(super) fn signal(&self, timestep: usize) -> Option<f64> {
        self.signal.get(timestep).copied()
    }

    /// The share of signal at a timestep, where those below zero stand for the end of the walk.
    pub(super) fn signal_or_final(&self, timestep: Option<usize>) -> f64 {
        timestep.and_then(|timestep| self.signal(timestep)).unwrap_or(self.final_signal)
    }

    /// Noise over signal, `sqrt((1 - a) / a)`, rising with the timestep.
    ///
    /// No signal at all (a rescaled schedule's end) counts as 2^-24 of it, as diffusers has it: a
    /// ratio must be finite.
    pub(super) fn sigmas(&self) -> Vec<f64> {
        let floor = f64::from(2.0_f32.powi(-24));
        self.signal.iter().map(|&a| if a == 0.0 { floor } else { a }).map(|a| ((1.0 - a) / a).sqrt()).collect()
    }
}

fn betas(config: &SchedulerConfig, solver: Solver) -> Vec<f64> {
    let (start, end, curve) = solver.default_betas();
    let (start, end) = (config.beta_start.unwrap_or(start), config.beta_end.unwrap_or(end));
    let n = config.num_train_timesteps;
    match config.beta_schedule.unwrap_or(curve) {
        BetaSchedule::Linear => even(start, end, n),
        BetaSchedule::ScaledLinear => even(start.sqrt(), end.sqrt(), n).into_iter().map(|root| root * root).collect(),
        BetaSchedule::SquaredcosCapV2 => {
            let signal = |i: usize| ((i as f64 / n as f64 + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
            (0..n).map(|i| (1.0 - signal(i + 1) / signal(i)).min(0.999)).collect()
        }
    }
}

/// `n` numbers from `start` to `end`, both included.
pub(super) fn even(start: f64, end: f64, n: usize) -> Vec<f64> {
    let gap = (end - start) / n.saturating_sub(1).max(1) as f64;
    (0..n).map(|i| if i > 0 && i == n - 1 { end } else { start + i as f64 * gap }).collect()
}

/// Lin et al., arXiv:2305.08891, algorithm 1: shifts and scales the root of the signal so that the
/// last timestep has none and the first keeps its own.
fn rescale_to_zero_snr(signal: &mut [f64]) {
    let (first, last) = (signal[0].sqrt(), signal[signal.len() - 1].sqrt());
    for value in signal {
        *value = ((value.sqrt() - last) * first / (first - last)).powi(2);
    }
}
