//! DDIM with eta 0: Song, Meng and Ermon, arXiv:2010.02502, equation 12.

use super::levels::Levels;
use super::schedule::{Next, Step, clean_of, noise_of};
use super::spacing;
use crate::diffusers::scheduler::SchedulerConfig;

/// Clean latents beyond this are clamped where the config asks for it.
const CLIP: f64 = 1.0;

/// As in diffusers, each step goes down by the whole part of `training steps / steps`, also where
/// the spacing of the timesteps is not a whole number.
pub(super) fn steps(config: &SchedulerConfig, levels: &Levels, steps: usize) -> Vec<Step> {
    let gap = levels.len() / steps;
    spacing::timesteps(config, steps)
        .into_iter()
        .map(|timestep| {
            let timestep = timestep.round_ties_even();
            let now = timestep as usize;
            let signal = levels.signal(now).unwrap_or_default();
            let after = now.checked_sub(gap).and_then(|t| levels.signal(t)).unwrap_or(levels.final_signal);
            let (alpha, sigma) = (signal.sqrt(), (1.0 - signal).sqrt());
            let noise = noise_of(config.prediction_type, alpha, sigma);
            let direction = (1.0 - after).sqrt();
            Step {
                timestep,
                input_scale: 1.0,
                clean: clean_of(config.prediction_type, alpha, sigma),
                clip: config.clip_sample.then_some(CLIP),
                next: Next {
                    sample: direction * noise.sample,
                    output: direction * noise.output,
                    clean: after.sqrt(),
                    ..Next::default()
                },
            }
        })
        .collect()
}
