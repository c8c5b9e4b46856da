//! `scheduler/scheduler_config.json`: the noise schedule a model was trained with.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// The training schedule, as the file states it; how to walk it is the sampler's choice.
///
/// Fields that a file leaves out have the defaults of the diffusers class that wrote it. One is
/// changed: `clip_sample` is off unless the file says otherwise, as in diffusers' Stable Diffusion
/// pipeline, because latents are not bound to [-1, 1].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// Steps of the training schedule; timesteps run from 0 to this, exclusive.
    pub num_train_timesteps: usize,
    /// Beta of the first training step.
    pub beta_start: f64,
    /// Beta of the last training step.
    pub beta_end: f64,
    /// The curve between the two.
    pub beta_schedule: BetaSchedule,
    /// What the UNet's output means.
    pub prediction_type: PredictionType,
    /// Which of the training timesteps a short walk visits.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep by `leading` spacing.
    pub steps_offset: usize,
    /// Whether predicted samples are clamped to [-1, 1].
    pub clip_sample: bool,
    /// Whether DDIM's last step goes to a cumulative alpha of one instead of the first beta's.
    pub set_alpha_to_one: bool,
    /// Whether betas are rescaled so that the last step is pure noise (arXiv:2305.08891).
    pub rescale_betas_zero_snr: bool,
    /// Betas given one by one, in place of start, end and curve.
    pub trained_betas: Option<Vec<f64>>,
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

/// More steps than any published schedule has; a table of betas is allocated by this number.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;

impl SchedulerConfig {
    /// Interprets the parsed `scheduler_config.json`.
    ///
    /// # Errors
    /// Names the field, its value and what is allowed.
    pub fn parse(mut value: Value) -> Result<Self> {
        if let Some(fields) = value.as_object_mut() {
            let class = fields.get("_class_name").and_then(Value::as_str);
            let spacing = default_spacing(class.unwrap_or_default());
            fields.entry("timestep_spacing").or_insert_with(|| spacing.into());
        }
        let config: Self = serde_path_to_error::deserialize(value)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let steps = self.num_train_timesteps;
        ensure!(
            (1..=MAX_TRAIN_TIMESTEPS).contains(&steps),
            "num_train_timesteps: {steps}, allowed are 1 to {MAX_TRAIN_TIMESTEPS}"
        );
        ensure!(self.steps_offset < steps, "steps_offset: {}, allowed are 0 to {}", self.steps_offset, steps - 1);
        for (name, beta) in [("beta_start", self.beta_start), ("beta_end", self.beta_end)] {
            ensure!(0.0 < beta && beta < 1.0, "{name}: {beta}, allowed is between 0 and 1");
        }
        let Some(betas) = &self.trained_betas else {
            return Ok(());
        };
        ensure!(betas.len() == steps, "trained_betas: {} values, num_train_timesteps says {steps}", betas.len());
        let wrong = betas.iter().find(|beta| !(0.0 < **beta && **beta < 1.0));
        ensure!(wrong.is_none(), "trained_betas: {}, allowed is between 0 and 1", wrong.unwrap_or(&0.0));
        Ok(())
    }
}

/// The spacing a diffusers scheduler class has when its file, older than the setting, is silent.
fn default_spacing(class: &str) -> &'static str {
    let linspace = ["Euler", "DPMSolver", "LMS", "Heun", "KDPM2", "UniPC", "DEIS"];
    if linspace.iter().any(|prefix| class.starts_with(prefix)) { "linspace" } else { "leading" }
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: TimestepSpacing::Leading,
            steps_offset: 0,
            clip_sample: false,
            set_alpha_to_one: true,
            rescale_betas_zero_snr: false,
            trained_betas: None,
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
    fn a_file_of_stable_diffusion_1_keeps_its_values_and_gets_the_defaults_of_its_class() {
        let config = parse(
            r#"{"_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
                "beta_start": 0.00085, "set_alpha_to_one": false, "skip_prk_steps": true,
                "steps_offset": 1, "trained_betas": null, "clip_sample": false}"#,
        )
        .unwrap();
        assert_eq!(config.beta_schedule, BetaSchedule::ScaledLinear);
        assert_eq!(config.timestep_spacing, TimestepSpacing::Leading);
        assert_eq!((config.steps_offset, config.set_alpha_to_one), (1, false));
        let euler = parse(r#"{"_class_name": "EulerDiscreteScheduler"}"#).unwrap();
        assert_eq!(euler.timestep_spacing, TimestepSpacing::Linspace);
    }

    #[test]
    fn a_wrong_value_is_refused_by_field_value_and_what_is_allowed() {
        for (json, words) in [
            (r#"{"beta_schedule": "sigmoid"}"#, ["beta_schedule", "sigmoid", "scaled_linear"]),
            (r#"{"prediction_type": "flow"}"#, ["prediction_type", "flow", "v_prediction"]),
            (r#"{"num_train_timesteps": 0}"#, ["num_train_timesteps", "0", "100000"]),
            (r#"{"beta_end": 1.5}"#, ["beta_end", "1.5", "between"]),
            (r#"{"trained_betas": [0.1]}"#, ["trained_betas", "1 values", "1000"]),
        ] {
            let error = format!("{:#}", parse(json).unwrap_err());
            for word in words {
                assert!(error.contains(word), "{error:?} does not say {word:?}");
            }
        }
    }
}
