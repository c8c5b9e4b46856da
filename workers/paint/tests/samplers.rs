//! The samplers against trajectories that diffusers recorded (tests/data/diffusers/samplers.py).

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use shanshui_paint::diffusers::scheduler::{PredictionType, SchedulerConfig};
use shanshui_paint::sampler::{Sampler, SamplerKind, Schedule};

/// Of the largest value at the same step, or of one.
const TOLERANCE: f32 = 1e-4;
/// Euler's latents start at 20,000 under the cosine schedule, and the recording's first step takes
/// the difference of two such numbers in single precision, whose grain is 0.002 there.
const TOLERANCE_EULER_COSINE: f32 = 3e-4;

struct Recording(Vec<u8>);

impl Recording {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/diffusers").join(name);
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let view = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }

    fn cases(&self) -> Vec<String> {
        let tensors = self.tensors();
        let names = tensors.names().into_iter().filter_map(|name| name.strip_suffix("/trajectory"));
        names.map(str::to_owned).collect()
    }
}

/// Stands for the UNet, as in the script.
fn network(sample: f32, timestep: f64) -> f32 {
    (0.3 * sample + 0.001 * timestep as f32).tanh() + 0.1 * sample
}

fn tensor(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec1().unwrap()
}

fn config_of(json: &str) -> SchedulerConfig {
    SchedulerConfig::parse(serde_json::from_str(json).unwrap()).unwrap()
}

fn schedule_of(case: &str) -> Schedule {
    let parts: Vec<&str> = case.split('/').collect();
    let karras = if parts.get(5).is_some() { "-karras" } else { "" };
    let kind: SamplerKind = format!("{}{karras}", parts[0]).parse().unwrap();
    let betas = match parts[1] {
        "scaled-linear" => r#""beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012"#,
        "cosine" => r#""beta_schedule": "squaredcos_cap_v2""#,
        "zero-snr" => {
            r#""beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "rescale_betas_zero_snr": true"#
        }
        other => panic!("unknown schedule {other}"),
    };
    let config = format!(
        r#"{{{betas}, "prediction_type": "{}", "timestep_spacing": "{}", "steps_offset": 1, "set_alpha_to_one": false}}"#,
        parts[2], parts[3]
    );
    Schedule::new(kind, &config_of(&config), parts[4].parse().unwrap()).unwrap()
}

fn assert_close(what: &str, ours: &[f32], reference: &[f32]) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let scale = reference.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
    let grainy = what.starts_with("euler") && what.contains("/cosine/");
    let tolerance = if grainy { TOLERANCE_EULER_COSINE } else { TOLERANCE };
    for (a, b) in ours.iter().zip(reference) {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {a} is not {b}");
    }
}

#[test]
fn every_trajectory_of_diffusers_is_followed_at_every_step() {
    let recording = Recording::open("samplers.safetensors");
    let cases = recording.cases();
    assert!(cases.len() > 60, "only {} cases recorded", cases.len());
    for case in cases {
        recording.follow(&case, schedule_of(&case), "noise/steps");
    }
}

#[test]
fn every_trajectory_of_the_other_schedulers_is_followed_at_every_call() {
    let recording = Recording::open("more_samplers.safetensors");
    let cases = recording.about();
    assert!(cases.len() > 100, "only {} cases recorded", cases.len());
    for (case, about) in cases {
        let config = SchedulerConfig::parse(about["file"].clone()).unwrap();
        let kind: SamplerKind = about["sampler"].as_str().unwrap().parse().unwrap();
        let schedule = Schedule::new(kind, &config, about["steps"].as_u64().unwrap() as usize).unwrap();
        recording.follow(&format!("{case} {about}"), schedule, "noise/calls");
    }
}

impl Recording {
    /// `what` is the case's name and, behind a space, more about it.
    fn follow(&self, what: &str, schedule: Schedule, noises: &str) {
        let case = what.split(' ').next().unwrap();
        let (start, noises) = (self.floats("noise/start"), self.floats(noises));
        let timesteps: Vec<f32> = schedule.timesteps().map(|t| t as f32).collect();
        assert_close(&format!("{what} timesteps"), &timesteps, &self.floats(&format!("{case}/timesteps")));
        let trajectory = self.floats(&format!("{case}/trajectory"));
        let mut reference = trajectory.chunks(start.len());
        let mut sampler = Sampler::new(Arc::new(schedule));
        let mut latents = start.clone();
        sampler.start(&mut latents);
        assert_close(&format!("{what} start"), &latents, reference.next().unwrap());
        let mut latents = tensor(&latents);
        while let Some(timestep) = sampler.timestep() {
            let input = floats(&sampler.model_input(&latents).unwrap());
            let output: Vec<f32> = input.into_iter().map(|value| network(value, timestep)).collect();
            let noise = tensor(noises.chunks(start.len()).nth(sampler.done()).unwrap());
            latents = sampler.step(&tensor(&output), &latents, Some(&noise)).unwrap();
            assert_close(&format!("{what} call {}", sampler.done()), &floats(&latents), reference.next().unwrap());
        }
        assert_eq!(reference.count(), 0, "{what} has more calls than we made");
    }

    fn about(&self) -> serde_json::Map<String, serde_json::Value> {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap()
    }
}

fn stable_diffusion() -> SchedulerConfig {
    config_of(
        r#"{"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
            "beta_end": 0.012, "steps_offset": 1, "set_alpha_to_one": false}"#,
    )
}

#[test]
fn every_step_finds_the_clean_sample_that_a_network_tells_in_any_terms() {
    for prediction in [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample] {
        for spacing in ["leading", "linspace", "trailing"] {
            for kind in SamplerKind::all() {
                let mut config = stable_diffusion();
                config.prediction_type = prediction;
                config.set_alpha_to_one = Some(true);
                config.timestep_spacing = Some(serde_json::from_value(spacing.into()).unwrap());
                let off = walk_with_oracle(kind, &config);
                // diffusers tells the one whole timesteps for noise levels that lie between, and has the
                // other step by 50 where the timesteps are 52.6 apart.
                // Heun, DPM++ SDE and PLMS look beside their path, TCD ends beside it, and LCM skips a little.
                let exact = match kind {
                    SamplerKind::Ddim => spacing != "linspace",
                    SamplerKind::Tcd | SamplerKind::Plms => false,
                    kind => !kind.id().starts_with("dpm++-2m") && kind != SamplerKind::UniPcKarras || !kind.is_karras(),
                };
                assert!(off < if exact { 1e-3 } else { 0.1 }, "{kind} {prediction:?} {spacing}: off by {off}");
            }
        }
    }
}

/// How far the clean sample that a step finds, or the end, is off at most.
fn walk_with_oracle(kind: SamplerKind, config: &SchedulerConfig) -> f32 {
    let (clean, mut off) = (0.7_f64, 0.0_f32);
    let mut sampler = Sampler::new(Arc::new(Schedule::new(kind, config, 20).unwrap()));
    let mut latents = [0.3_f32];
    sampler.start(&mut latents);
    let mut latents = tensor(&latents);
    while let Some(timestep) = sampler.timestep() {
        let input = f64::from(floats(&sampler.model_input(&latents).unwrap())[0]);
        let (alpha, sigma) = signal_and_noise(timestep);
        let output = match config.prediction_type {
            PredictionType::Epsilon => (input - alpha * clean) / sigma,
            PredictionType::VPrediction => (alpha * input - clean) / sigma,
            PredictionType::Sample => clean,
        };
        latents = sampler.step(&tensor(&[output as f32]), &latents, Some(&tensor(&[0.1]))).unwrap();
        off = off.max((floats(sampler.clean().unwrap())[0] - 0.7).abs());
    }
    off.max((floats(&latents)[0] - 0.7).abs())
}

/// Of Stable Diffusion's schedule, straight from its definition, interpolated in the noise level.
fn signal_and_noise(timestep: f64) -> (f64, f64) {
    let (start, end) = (0.00085_f64.sqrt(), 0.012_f64.sqrt());
    let level = |t: usize| {
        let signal: f64 = (0..=t).map(|i| 1.0 - (start + (end - start) * i as f64 / 999.0).powi(2)).product();
        ((1.0 - signal) / signal).sqrt()
    };
    let low = timestep as usize;
    let level = level(low) + (level((low + 1).min(999)) - level(low)) * timestep.fract();
    let alpha = 1.0 / level.hypot(1.0);
    (alpha, alpha * level)
}

#[test]
fn step_counts_that_do_not_divide_the_training_have_exactly_as_many_steps() {
    for spacing in ["leading", "linspace", "trailing"] {
        let mut config = stable_diffusion();
        config.timestep_spacing = Some(serde_json::from_value(spacing.into()).unwrap());
        for kind in SamplerKind::all() {
            for steps in 1..=150 {
                if steps > 50 && matches!(kind, SamplerKind::Lcm | SamplerKind::Tcd) {
                    continue;
                }
                let schedule = Schedule::new(kind, &config, steps).unwrap();
                let two_calls = ["heun", "dpm++-sde"].iter().any(|id| kind.id().starts_with(id));
                let once_more = usize::from(kind == SamplerKind::Plms && steps > 1);
                assert_eq!(schedule.len(), if two_calls { 2 * steps - 1 } else { steps + once_more });
                assert!(schedule.timesteps().all(|t| (0.0..1000.0).contains(&t)), "{kind} {spacing} {steps}");
            }
        }
    }
    let mut config = stable_diffusion();
    config.timestep_spacing = Some(serde_json::from_value("trailing".into()).unwrap());
    // numpy.round(numpy.arange(1000, 0, -1000 / 48)) - 1, whose fourth value is just below a half.
    let schedule = Schedule::new(SamplerKind::Ddim, &config, 48).unwrap();
    assert_eq!(schedule.timesteps().take(5).collect::<Vec<_>>(), [999.0, 978.0, 957.0, 936.0, 916.0]);
}

#[test]
fn impossible_step_counts_are_refused_by_name() {
    let mut config = stable_diffusion();
    config.num_train_timesteps = 10;
    for (kind, steps, most) in [
        (SamplerKind::Ddim, 0, 10),
        (SamplerKind::Euler, 11, 10),
        (SamplerKind::DpmPp2m, 10, 9),
        (SamplerKind::UniPc, 10, 9),
        (SamplerKind::Lcm, 11, 10),
    ] {
        let error = Schedule::new(kind, &config, steps).unwrap_err().to_string();
        let wanted = format!("picture.steps: {steps} is not allowed; allowed: 1 to {most} for this model and sampler");
        assert_eq!(error, wanted);
    }
    let error = Schedule::new(SamplerKind::Ddim, &config, 10).unwrap_err().to_string();
    assert!(error.starts_with("picture.steps: 10 is not allowed") && error.contains("steps_offset of 1"), "{error}");
}

#[test]
fn a_step_after_the_last_or_of_the_wrong_shape_is_an_error_and_changes_nothing() {
    let schedule = Arc::new(Schedule::new(SamplerKind::EulerAncestral, &stable_diffusion(), 2).unwrap());
    let mut sampler = Sampler::new(schedule);
    let [zero, one, two] = [&[][..], &[0.5], &[1.0, 2.0]].map(tensor);
    for (output, noise) in [(&one, Some(&two)), (&two, Some(&one)), (&two, Some(&zero)), (&two, None)] {
        let error = sampler.step(output, &two, noise).unwrap_err().to_string();
        assert!(error.contains("do not fit"), "{error}");
        assert_eq!((sampler.clean().is_none(), sampler.done(), sampler.left()), (true, 0, 2));
    }
    let latents = sampler.step(&two, &two, Some(&two)).unwrap();
    assert!(!sampler.needs_noise(), "the last step ends without");
    sampler.step(&two, &latents, None).unwrap();
    assert_eq!((sampler.timestep(), sampler.left()), (None, 0));
    assert!(sampler.model_input(&latents).is_err() && sampler.step(&two, &latents, None).is_err());
}
