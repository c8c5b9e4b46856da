//! The sampler that a scheduler file asks for: a distilled model is noise with any other.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::scheduler::SchedulerConfig;
use crate::sampler::SamplerKind;

/// What walks where a job names no sampler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The sampler.
    pub kind: SamplerKind,
    /// What the file asks for, where `kind` is only like it.
    pub instead_of: Option<String>,
}

/// Classes that are not here, with the closest that is: all walk models of the same training.
const CLOSEST: &[(&str, SamplerKind)] = &[
    ("DDPMScheduler", SamplerKind::Ddim),
    ("DEISMultistepScheduler", SamplerKind::DpmPp2m),
    ("DPMSolverSinglestepScheduler", SamplerKind::DpmPp2m),
    ("KDPM2DiscreteScheduler", SamplerKind::Heun),
    ("KDPM2AncestralDiscreteScheduler", SamplerKind::EulerAncestral),
    ("SASolverScheduler", SamplerKind::UniPc),
];

/// Fields that change the walk of a class (any, where it is empty), and the values that change nothing we do.
const FIXED: &[(&str, &str, &str)] = &[
    ("", "use_flow_sigmas", "[false]"),
    ("", "use_dynamic_shifting", "[false]"),
    ("", "use_beta_sigmas", "[false]"),
    ("", "use_exponential_sigmas", "[false]"),
    ("", "use_lu_lambdas", "[false]"),
    ("Euler", "interpolation_type", r#"["linear"]"#),
    ("Euler", "timestep_type", r#"["discrete"]"#),
    ("Euler", "sigma_min", "[]"),
    ("Euler", "sigma_max", "[]"),
    ("DPMSolverMultistep", "algorithm_type", r#"["dpmsolver++", "sde-dpmsolver++", "deis"]"#),
    ("DPMSolverMultistep", "solver_order", "[1, 2]"),
    ("DPMSolverMultistep", "solver_type", r#"["midpoint", "heun", "logrho", "bh1", "bh2"]"#),
    ("DPMSolverMultistep", "variance_type", "[]"),
    ("DPMSolverMultistep", "lambda_min_clipped", "[]"),
    ("UniPC", "predict_x0", "[true]"),
    ("UniPC", "disable_corrector", "[[]]"),
    ("UniPC", "solver_p", "[]"),
    ("UniPC", "sigma_min", "[]"),
    ("UniPC", "sigma_max", "[]"),
];

impl Wanted {
    /// The sampler for the class and the settings of a parsed file.
    ///
    /// # Errors
    /// Names the class, or the field and its value, that would paint something else than it should.
    pub fn of(file: &Value, config: &SchedulerConfig) -> Result<Self> {
        let class = config.class.as_str();
        for (of, field, allowed) in FIXED.iter().filter(|(of, ..)| class.starts_with(of)) {
            let (found, allowed) = (&file[*field], serde_json::from_str::<Value>(allowed)?);
            let fits = found.is_null() || allowed.as_array().is_some_and(|values| values.contains(found));
            let who = if of.is_empty() { String::new() } else { format!(" with {class}") };
            ensure!(fits, "{field}: {found} is not allowed{who}; allowed: {}, or nothing", list(&allowed));
        }
        let (kind, instead_of) = Self::class(class, file)?;
        let sde = kind == SamplerKind::DpmPp2m && config.algorithm_type.as_deref() == Some("sde-dpmsolver++");
        let kind = if sde { SamplerKind::DpmPp2mSde } else { kind };
        Ok(Self { kind: if config.use_karras_sigmas { kind.over_karras() } else { kind }, instead_of })
    }

    fn class(class: &str, file: &Value) -> Result<(SamplerKind, Option<String>)> {
        // Nothing is asked for.
        if class.is_empty() {
            return Ok((SamplerKind::EulerAncestral, None));
        }
        if class == "PNDMScheduler" && file["skip_prk_steps"] != json!(true) {
            return Ok((SamplerKind::Plms, Some("PNDMScheduler with Runge-Kutta steps".to_owned())));
        }
        if let Some(kind) = class.ends_with("Scheduler").then(|| class.parse().ok()).flatten() {
            return Ok((kind, None));
        }
        if let Some((name, kind)) = CLOSEST.iter().find(|(name, _)| *name == class) {
            return Ok((*kind, Some((*name).to_owned())));
        }
        let known = SamplerKind::all().filter(|kind| !kind.is_karras() && *kind != SamplerKind::DpmPp2mSde);
        let known: Vec<_> = known.map(|kind| kind.class()).collect();
        bail!("_class_name: {class:?} is not allowed; allowed: {}", known.join(", "))
    }

    /// Whether the file is that of a model which was distilled to a few steps without guidance: latent or
    /// trajectory consistency, or Euler from the last timestep on over noise, as SD-Turbo is published.
    #[must_use]
    pub fn is_distilled(&self, file: &Value) -> bool {
        let turbo = matches!(self.kind, SamplerKind::Euler | SamplerKind::EulerAncestral)
            && file["timestep_spacing"] == "trailing"
            && file["prediction_type"] == "epsilon"
            && file["rescale_betas_zero_snr"] != json!(true);
        turbo || matches!(self.kind, SamplerKind::Lcm | SamplerKind::Tcd)
    }
}

fn list(values: &Value) -> String {
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    if values.is_empty() {
        "null".to_owned()
    } else {
        values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(json: &str) -> Result<Wanted> {
        let file: Value = serde_json::from_str(json).unwrap();
        Wanted::of(&file, &SchedulerConfig::parse(file.clone()).unwrap())
    }

    #[test]
    fn the_class_the_noise_levels_and_the_equation_choose_the_sampler() {
        for (json, kind) in [
            (r#"{"_class_name": "PNDMScheduler", "skip_prk_steps": true}"#, SamplerKind::Plms),
            (r#"{"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}"#, SamplerKind::Euler),
            (r#"{"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true}"#, SamplerKind::EulerKarras),
            (r#"{"_class_name": "DPMSolverMultistepScheduler", "solver_type": null}"#, SamplerKind::DpmPp2m),
            (
                r#"{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++",
                    "use_karras_sigmas": true}"#,
                SamplerKind::DpmPp2mSdeKarras,
            ),
            (r#"{"_class_name": "LCMScheduler", "use_karras_sigmas": true}"#, SamplerKind::Lcm),
            (r#"{"_class_name": "TCDScheduler"}"#, SamplerKind::Tcd),
        ] {
            let wanted = wanted(json).unwrap();
            assert_eq!((wanted.kind, wanted.instead_of), (kind, None), "{json}");
        }
    }

    #[test]
    fn a_class_that_is_not_here_is_replaced_by_its_closest_and_named() {
        let wanted = wanted(r#"{"_class_name": "DEISMultistepScheduler"}"#).unwrap();
        let name = Some("DEISMultistepScheduler".to_owned());
        assert_eq!((wanted.kind, wanted.instead_of), (SamplerKind::DpmPp2m, name));
    }

    #[test]
    fn what_would_paint_something_else_is_refused_by_field_and_value() {
        for (json, words) in [
            (r#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#, ["FlowMatchEuler", "EulerDiscreteScheduler"]),
            (
                r#"{"_class_name": "EulerDiscreteScheduler", "use_flow_sigmas": true}"#,
                ["use_flow_sigmas: true", "false"],
            ),
            (
                r#"{"_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous"}"#,
                ["timestep_type: \"continuous\"", "\"discrete\""],
            ),
            (
                r#"{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"}"#,
                ["algorithm_type: \"dpmsolver\"", "\"dpmsolver++\", \"sde-dpmsolver++\""],
            ),
            (
                r#"{"_class_name": "DPMSolverMultistepScheduler", "variance_type": "learned_range"}"#,
                ["variance_type: \"learned_range\"", "allowed: null"],
            ),
            (
                r#"{"_class_name": "UniPCMultistepScheduler", "predict_x0": false}"#,
                ["predict_x0: false", "allowed: true"],
            ),
        ] {
            let error = format!("{:#}", wanted(json).unwrap_err());
            for word in words {
                assert!(error.contains(word), "{error:?} does not say {word:?}");
            }
        }
        let other = r#"{"_class_name": "DDIMScheduler", "algorithm_type": "dpmsolver", "solver_order": 3}"#;
        assert!(wanted(other).is_ok(), "left over from another class");
    }
}
