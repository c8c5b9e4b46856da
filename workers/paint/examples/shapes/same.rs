//! The steps of every sampler on a device beside those on the CPU, with given answers in place of a network.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use shanshui_paint::diffusers::scheduler::SchedulerConfig;
use shanshui_paint::noise::NoiseKey;
use shanshui_paint::sampler::{Sampler, SamplerKind, Schedule, guided};

/// Of a picture of 512 pixels.
const SHAPE: (usize, usize, usize, usize) = (1, 4, 64, 64);
const STEPS: usize = 6;

/// The schedule of Stable Diffusion.
pub(crate) fn scheduler(prediction: &str) -> anyhow::Result<SchedulerConfig> {
    SchedulerConfig::parse(json!({
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1,
        "prediction_type": prediction,
    }))
}

/// Tells of every sampler how many of its numbers are others there.
pub(crate) fn same(device: &Device, tell: &mut dyn FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for prediction in ["epsilon", "v_prediction", "sample"] {
        let config = scheduler(prediction)?;
        for kind in SamplerKind::all() {
            let schedule = Arc::new(Schedule::new(kind, &config, STEPS)?);
            let [numbers, differ] = walk(device, &schedule)?;
            tell(json!({ "sampler": kind.id(), "prediction": prediction, "numbers": numbers, "differ": differ }))?;
        }
    }
    Ok(())
}

/// How many numbers were compared, and how many of them differ in a bit.
fn walk(device: &Device, schedule: &Arc<Schedule>) -> anyhow::Result<[usize; 2]> {
    let start = (normals(0, 0)? * schedule.init_noise_sigma())?;
    let mut walkers = [&Device::Cpu, device].map(|device| (device, Sampler::new(schedule.clone()), start.clone()));
    let (mut numbers, mut differ) = (0, 0);
    for call in 1..=schedule.len() as u32 {
        let mut seen = Vec::new();
        for (device, sampler, latents) in &mut walkers {
            *latents = latents.to_device(device)?;
            let input = sampler.model_input(latents)?;
            let there = |row| normals(row, call)?.to_device(device);
            let answer = guided(&there(1)?, &there(2)?, 7.5)?;
            *latents = sampler.step(&answer, latents, Some(&there(3)?))?;
            seen.push(Tensor::stack(&[&input, &answer, &*latents], 0)?.flatten_all()?.to_vec1::<f32>()?);
        }
        numbers += seen[0].len();
        differ += seen[0].iter().zip(&seen[1]).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    }
    Ok([numbers, differ])
}

fn normals(picture: u32, step: u32) -> candle_core::Result<Tensor> {
    let (_, channels, height, width) = SHAPE;
    Tensor::from_vec(NoiseKey { seed: 42, picture, step }.normals(channels * height * width), SHAPE, &Device::Cpu)
}
