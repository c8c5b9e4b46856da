//! `scheduler/scheduler_config.json`: the noise schedule a model was trained with.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::without_nulls;

/// The training schedule and the wishes for a walk, as the file states them.
///
/// What a file leaves out stays open (`None`), because diffusers fills it with the default of the class that
/// walks, not of the class that wrote the file. Two fields are not read at all: `clip_sample`, which the
/// pipeline of diffusers switches off for latents, and the value of `steps_offset`, which it sets to 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// The class of diffusers that wrote the file, which its authors want to walk.
    #[serde(rename = "_class_name")]
    pub class: String,
    /// Steps of the training schedule; timesteps run from 0 to this, exclusive.
    pub num_train_timesteps: usize,
    /// Beta of the first training step.
    pub beta_start: Option<f64>,
    /// Beta of the last training step.
    pub beta_end: Option<f64>,
    /// The curve between the two.
    pub beta_schedule: Option<BetaSchedule>,
    /// What the UNet's output means.
    pub prediction_type: PredictionType,
    /// Which of the training timesteps a short walk visits.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Present: 1 is added to every timestep by `leading` spacing.
    pub steps_offset: Option<i64>,
    /// Whether the last step goes to a cumulative alpha of one instead of the first beta's.
    pub set_alpha_to_one: Option<bool>,
    /// Whether betas are rescaled so that the last step is pure noise (arXiv:2305.08891).
    pub rescale_betas_zero_snr: bool,
    /// Betas given one by one, in place of start, end and curve.
    pub trained_betas: Option<Vec<f64>>,
    /// Whether the noise levels are those of Karras et al.
    pub use_karras_sigmas: bool,
    /// Which equation DPM-Solver solves: `dpmsolver++`, `sde-dpmsolver++`.
    pub algorithm_type: Option<String>,
    /// Which second-order weights DPM-Solver and UniPC have.
    pub solver_type: Option<String>,
    /// Order of DPM-Solver and UniPC.
    pub solver_order: usize,
    /// Whether a short walk ends with steps of lower order.
    pub lower_order_final: bool,
    /// Whether DPM-Solver's last step is Euler's.
    pub euler_at_final: bool,
    /// Where the walk ends: `zero`, or `sigma_min`, the least noise of the training.
    pub final_sigmas_type: Option<String>,
    /// Timesteps that LCM and TCD models were distilled at.
    pub original_inference_steps: usize,
    /// Scale of the timesteps in LCM's boundary condition.
    pub timestep_scaling: f64,
    thresholding: bool,
    dynamic_thresholding_ratio: f64,
    sample_max_value: f64,
}

/// The curve of the betas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Even in beta (arXiv:2006.11239).
    Linear,
    /// Even in the square root of beta, as latent diffusion models are trained.
    ScaledLinear,
    /// Squared cosine in the cumulative alpha, betas capped at 0.999 (arXiv:2102.09672).
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
}

/// What the UNet's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// The velocity, `alpha * noise - sigma * sample` (arXiv:2202.00512).
    VPrediction,
    /// The clean sample.
    Sample,
}

/// Which training timesteps a walk of few steps visits (arXiv:2305.08891, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Multiples of the whole step from zero on, plus `steps_offset`.
    Leading,
    /// Evenly from the last timestep to the first, both included.
    Linspace,
    /// Steps counted down from the end; the last timestep is always visited.
    Trailing,
}

/// Dynamic thresholding: Saharia et al., arXiv:2205.11487, section 2.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholding {
    /// Share of the values that the bound lets through.
    ratio: f64,
    /// The bound is never above this.
    most: f64,
}

/// More steps than any published schedule has; a table of betas is allocated by this number.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;

impl SchedulerConfig {
    /// Interprets the parsed `scheduler_config.json`.
    ///
    /// # Errors
    /// Names the field, its value and what is allowed.
    pub fn parse(value: Value) -> Result<Self> {
        let config: Self = serde_path_to_error::deserialize(without_nulls(value, &[]))?;
        config.check()?;
        Ok(config)
    }

    /// What is done to the clean sample at every step, by samplers whose class knows it.
    #[must_use]
    pub fn thresholding(&self) -> Option<Thresholding> {
        let (ratio, most) = (self.dynamic_thresholding_ratio, self.sample_max_value);
        self.thresholding.then_some(Thresholding { ratio, most })
    }

    /// Whether a walk ends at the least noise of the training instead of at none.
    pub(crate) fn ends_at_sigma_min(&self) -> bool {
        self.final_sigmas_type.as_deref() == Some("sigma_min")
    }

    /// Whether DPM-Solver's second order has the weights of Heun's method.
    pub(crate) fn is_heun(&self) -> bool {
        self.solver_type.as_deref() == Some("heun")
    }

    /// Whether UniPC's `B(h)` is `h`.
    pub(crate) fn is_bh1(&self) -> bool {
        self.solver_type.as_deref() == Some("bh1")
    }

    fn check(&self) -> Result<()> {
        let steps = self.num_train_timesteps;
        ensure!(
            (1..=MAX_TRAIN_TIMESTEPS).contains(&steps),
            "num_train_timesteps: {steps}, allowed are 1 to {MAX_TRAIN_TIMESTEPS}"
        );
        let betas = [("beta_start", self.beta_start), ("beta_end", self.beta_end)];
        for (name, beta) in betas.into_iter().filter_map(|(name, beta)| Some((name, beta?))) {
            ensure!(0.0 < beta && beta < 1.0, "{name}: {beta}, allowed is between 0 and 1");
        }
        let distilled = self.original_inference_steps;
        ensure!(distilled > 0, "original_inference_steps: 0, allowed are 1 and more");
        ensure!((1..=3).contains(&self.solver_order), "solver_order: {}, allowed are 1 to 3", self.solver_order);
        let (ratio, most) = (self.dynamic_thresholding_ratio, self.sample_max_value);
        ensure!((0.0..=1.0).contains(&ratio), "dynamic_thresholding_ratio: {ratio}, allowed is 0 to 1");
        ensure!(most.is_finite() && most >= 1.0, "sample_max_value: {most}, allowed is 1 and more");
        let end = self.final_sigmas_type.as_deref().unwrap_or("zero");
        ensure!(
            ["zero", "sigma_min"].contains(&end),
            "final_sigmas_type: {end:?}, allowed are \"zero\" and \"sigma_min\""
        );
        let Some(betas) = &self.trained_betas else {
            return Ok(());
        };
        ensure!(betas.len() == steps, "trained_betas: {} values, num_train_timesteps says {steps}", betas.len());
        let wrong = betas.iter().find(|beta| !(0.0 < **beta && **beta < 1.0));
        ensure!(wrong.is_none(), "trained_betas: {}, allowed is between 0 and 1", wrong.unwrap_or(&0.0));
        Ok(())
    }
}

impl Thresholding {
    /// Clamps the values of one picture to their own bound, and scales that to one.
    pub fn apply(self, values: &mut [f32]) {
        let mut sizes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
        sizes.sort_unstable_by(f32::total_cmp);
        let place = self.ratio * sizes.len().saturating_sub(1) as f64;
        let at = |index: usize| sizes.get(index).or(sizes.last()).copied().map_or(0.0, f64::from);
        let low = at(place as usize);
        let bound = (low + (at(place as usize + 1) - low) * place.fract()).clamp(1.0, self.most);
        for value in values {
            *value = (f64::from(*value).clamp(-bound, bound) / bound) as f32;
        }
    }
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            class: String::new(),
            num_train_timesteps: 1000,
            beta_start: None,
            beta_end: None,
            beta_schedule: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: None,
            steps_offset: None,
            set_alpha_to_one: None,
            rescale_betas_zero_snr: false,
            trained_betas: None,
            use_karras_sigmas: false,
            algorithm_type: None,
            solver_type: None,
            solver_order: 2,
            lower_order_final: true,
            euler_at_final: false,
            final_sigmas_type: None,
            original_inference_steps: 50,
            timestep_scaling: 10.0,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<SchedulerConfig> {
        SchedulerConfig::parse(serde_json::from_str(json)?)
    }

    #[test]
    fn a_file_of_stable_diffusion_1_keeps_its_values_and_leaves_open_what_it_does_not_say() {
        let config = parse(
            r#"{"_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
                "beta_start": 0.00085, "set_alpha_to_one": false, "skip_prk_steps": true,
                "steps_offset": 1, "trained_betas": null, "clip_sample": false, "prediction_type": null}"#,
        )
        .unwrap();
        assert_eq!(config.beta_schedule, Some(BetaSchedule::ScaledLinear));
        assert_eq!((config.class.as_str(), config.timestep_spacing), ("PNDMScheduler", None));
        assert_eq!((config.steps_offset, config.set_alpha_to_one), (Some(1), Some(false)));
        assert_eq!(config.prediction_type, PredictionType::Epsilon);
    }

    #[test]
    fn a_wrong_value_is_refused_by_field_value_and_what_is_allowed() {
        for (json, words) in [
            (r#"{"beta_schedule": "sigmoid"}"#, ["beta_schedule", "sigmoid", "scaled_linear"]),
            (r#"{"prediction_type": "flow"}"#, ["prediction_type", "flow", "v_prediction"]),
            (r#"{"num_train_timesteps": 0}"#, ["num_train_timesteps", "0", "100000"]),
            (r#"{"beta_end": 1.5}"#, ["beta_end", "1.5", "between"]),
            (r#"{"trained_betas": [0.1]}"#, ["trained_betas", "1 values", "1000"]),
            (r#"{"sample_max_value": 0.5}"#, ["sample_max_value", "0.5", "1 and more"]),
            (r#"{"final_sigmas_type": "none"}"#, ["final_sigmas_type", "none", "sigma_min"]),
        ] {
            let error = format!("{:#}", parse(json).unwrap_err());
            for word in words {
                assert!(error.contains(word), "{error:?} does not say {word:?}");
            }
        }
    }

    /// Of five values, the quantile 0.9 lies between the fourth and the fifth.
    #[test]
    fn dynamic_thresholding_clamps_to_the_quantile_within_its_bounds() {
        let by = |ratio, most| {
            let mut values = [0.5, -1.0, 2.0, -3.0, 5.0];
            Thresholding { ratio, most }.apply(&mut values);
            values
        };
        let bound = 3.0 + 0.6 * 2.0;
        for (value, wanted) in
            by(0.9, 10.0).into_iter().zip([0.5 / bound, -1.0 / bound, 2.0 / bound, -3.0 / bound, 1.0])
        {
            assert!((value - wanted).abs() < 1e-6, "{value} {wanted}");
        }
        assert_eq!(by(0.9, 2.0), [0.25, -0.5, 1.0, -1.0, 1.0]);
        assert_eq!(by(0.0, 2.0), [0.5, -1.0, 1.0, -1.0, 1.0]);
    }
}
