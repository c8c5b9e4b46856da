//! What `tests/bench/gpu.py` asks of a GPU: networks of the shape of Stable Diffusion 1.5 with random weights.
//!
//! `gpu QUESTION DEVICE`, where the device is written as `--paint-device` has it. Answers are lines of JSON.
//! `apart MODEL`: how far bf16 there is from f32 on a CPU, for each network and for a picture of a model in a folder.
//! `picture`, `rows`, `decode`: reads lines of `WIDTH HEIGHT BATCH STEPS`. `full`: fills the memory, and computes after
//! that. `cold`: the parts of a start. `same`: how many numbers of each sampler's steps differ from a CPU's.

#![expect(clippy::print_stdout, reason = "the answers")]

#[path = "shapes/request.rs"]
mod request;
#[path = "shapes/same.rs"]
mod same;
mod shapes;

use std::io::{BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use shanshui_model::{DeviceKind, gpu};
use shanshui_paint::model::Model;
use shanshui_paint::noise::NoiseKey;
use shanshui_paint::paint::paint;
use shanshui_paint::sampler::{Sampler, SamplerKind, Schedule, guided};
use shanshui_paint::unet::{Context, Unet};
use shanshui_paint::vae::Vae;
use shapes::{TEXT, decibels, noise, text, unet, vae};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let device = |name: &str| name.parse::<DeviceKind>().map_err(anyhow::Error::msg)?.open();
    match words.as_slice() {
        ["apart", name, model] => apart(&device(name)?, Path::new(model)),
        ["picture", name] => Networks::load(&device(name)?)?.answer(Networks::picture),
        ["rows", name] => Networks::load(&device(name)?)?.answer(Networks::rows),
        ["decode", name] => Networks::load(&device(name)?)?.answer(Networks::decode),
        ["full", name] => full(&device(name)?),
        ["cold", name] => cold(name),
        ["same", name] => same::same(&device(name)?, &mut |answer| tell(&answer)),
        _ => bail!("allowed: gpu apart DEVICE MODEL, gpu picture|rows|decode|full|cold|same DEVICE"),
    }
}

fn tell(answer: &Value) -> anyhow::Result<()> {
    println!("{answer}");
    Ok(std::io::stdout().flush()?)
}

struct Networks {
    unet: Unet,
    vae: Vae,
    device: Device,
}

/// Sides of the picture, pictures together, steps.
struct Wish {
    sides: [usize; 2],
    batch: usize,
    steps: usize,
}

impl Networks {
    fn load(device: &Device) -> anyhow::Result<Self> {
        let networks =
            Self { unet: unet(DType::BF16, device)?, vae: vae(DType::BF16, device)?, device: device.clone() };
        tell(&json!({ "load": true }))?;
        Ok(networks)
    }

    /// Answers each line with the seconds that it took, and what `work` says.
    fn answer(&self, work: fn(&Self, &Wish) -> anyhow::Result<Value>) -> anyhow::Result<()> {
        for line in std::io::stdin().lock().lines() {
            let numbers = line?.split_whitespace().map(str::parse).collect::<Result<Vec<usize>, _>>()?;
            let &[width, height, batch, steps] = numbers.as_slice() else { bail!("allowed: WIDTH HEIGHT BATCH STEPS") };
            let start = Instant::now();
            let said = work(self, &Wish { sides: [height / 8, width / 8], batch, steps })?;
            tell(&json!({ "seconds": start.elapsed().as_secs_f64(), "said": said }))?;
        }
        Ok(())
    }

    /// Whole pictures: steps with guidance as a job takes them, then each decoded.
    fn picture(&self, wish: &Wish) -> anyhow::Result<Value> {
        let schedule = Arc::new(Schedule::new(SamplerKind::EulerAncestral, &same::scheduler("epsilon")?, wish.steps)?);
        let (start, context) = (self.latents(wish)?.to_device(&self.device)?, self.context(wish.batch)?);
        let mut pictures = Vec::new();
        for at in 0..wish.batch {
            pictures.push((Sampler::new(schedule.clone()), (start.narrow(0, at, 1)? * schedule.init_noise_sigma())?));
        }
        for step in 0..wish.steps {
            self.all(&mut pictures, &context, step as u32 + 1)?;
        }
        let mut sum = 0.0;
        for (_, latents) in &pictures {
            sum += self.vae.decode(latents)?.to_device(&Device::Cpu)?.mean_all()?.to_scalar::<f32>()?;
        }
        Ok(json!({ "finite": sum.is_finite() }))
    }

    /// One step of all, and a look at one number of each, as a job looks whether they are finite.
    fn all(&self, pictures: &mut [(Sampler, Tensor)], context: &Context, step: u32) -> candle_core::Result<()> {
        let input = pictures.iter().map(|(sampler, latents)| sampler.model_input(latents));
        let input = Tensor::cat(&input.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let timestep = pictures[0].0.timestep().unwrap_or_default();
        let answers = self.step(&input, timestep, context)?;
        let mut flags = Vec::new();
        for (at, (sampler, latents)) in pictures.iter_mut().enumerate() {
            let noise = NoiseKey { seed: 42, picture: at as u32, step }.normals(latents.elem_count());
            let noise = Tensor::from_vec(noise, latents.shape(), &self.device)?;
            *latents = sampler.step(&answers.narrow(0, at, 1)?, latents, Some(&noise))?;
            flags.push(latents.affine(0.0, 0.0)?.sum_all()?);
        }
        Tensor::stack(&flags, 0)?.to_vec1::<f32>().map(drop)
    }

    /// Whether the rows of a batch are what they are alone: a kernel that counts too few elements shows here.
    fn rows(&self, wish: &Wish) -> anyhow::Result<Value> {
        let latents = self.latents(wish)?.to_device(&self.device)?;
        let together = self.step(&latents, 500.0, &self.context(wish.batch)?)?;
        let context = self.context(1)?;
        let mut least = f64::INFINITY;
        for at in 0..wish.batch {
            let alone = self.step(&latents.narrow(0, at, 1)?, 500.0, &context)?.flatten_all()?.to_vec1()?;
            let row = together.narrow(0, at, 1)?.flatten_all()?.to_vec1()?;
            least = least.min(decibels(&alone, &row));
        }
        Ok(json!({ "decibels": least }))
    }

    fn decode(&self, wish: &Wish) -> anyhow::Result<Value> {
        let pixels = self.vae.decode(&self.latents(wish)?.narrow(0, 0, 1)?.to_device(&self.device)?)?;
        Ok(json!({ "finite": pixels.mean_all()?.to_scalar::<f32>()?.is_finite() }))
    }

    fn latents(&self, wish: &Wish) -> candle_core::Result<Tensor> {
        noise(&[wish.batch, 4, wish.sides[0], wish.sides[1]])
    }

    /// Texts with guidance. Every row has the same, so that one alone is what it is among others.
    fn context(&self, batch: usize) -> candle_core::Result<Context> {
        let states = noise(&[1, TEXT.0, TEXT.1])?.repeat((2 * batch, 1, 1))?;
        self.unet.prepare(&states.to_device(&self.device)?)
    }

    /// The answer with guidance 7.5.
    fn step(&self, latents: &Tensor, timestep: f64, context: &Context) -> candle_core::Result<Tensor> {
        let batch = latents.dim(0)?;
        let timesteps = Tensor::full(timestep as f32, 2 * batch, &self.device)?;
        let answer = self.unet.forward(&Tensor::cat(&[latents, latents], 0)?, &timesteps, context)?;
        guided(&answer.narrow(0, 0, batch)?, &answer.narrow(0, batch, batch)?, 7.5)
    }
}

fn apart(device: &Device, model: &Path) -> anyhow::Result<()> {
    let values = |tensor: Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    let say = |part: &str, [exact, other]: [Vec<f32>; 2]| {
        tell(&json!({ "part": part, "decibels": decibels(&exact, &other) }))
    };
    let ids: Vec<u32> = (0..TEXT.0 as u32).map(|at| at * 600).collect();
    let texts =
        [&Device::Cpu, device].map(|device| anyhow::Ok(values(text(device)?.forward(std::slice::from_ref(&ids))?)?));
    let [exact, other] = texts;
    say("text", [exact?, other?])?;
    let step = |dtype, device: &Device| {
        let unet = unet(dtype, device)?;
        let states = unet.prepare(&noise(&[2, TEXT.0, TEXT.1])?.to_device(device)?)?;
        let timesteps = Tensor::full(500_f32, 2, device)?;
        anyhow::Ok(values(unet.forward(&noise(&[2, 4, 32, 32])?.to_device(device)?, &timesteps, &states)?)?)
    };
    say("unet", [step(DType::F32, &Device::Cpu)?, step(DType::BF16, device)?])?;
    let decode = |dtype, device: &Device| {
        anyhow::Ok(values(vae(dtype, device)?.decode(&noise(&[1, 4, 32, 32])?.to_device(device)?)?)?)
    };
    say("vae", [decode(DType::F32, &Device::Cpu)?, decode(DType::BF16, device)?])?;
    say("picture", [painted(model, DType::F32, &Device::Cpu)?, painted(model, DType::BF16, device)?])
}

/// The pixels of a picture of a real model: the same seed gives the same noise on every device.
fn painted(folder: &Path, dtype: DType, device: &Device) -> anyhow::Result<Vec<f32>> {
    let model = Model::load(folder, device, dtype)?;
    let request = request::recommended(&model, 42, 1)?;
    let mut painted = paint(&model, &request, 1, &mut |_| ControlFlow::Continue(()))?;
    Ok(painted.pictures.remove(0).rgb.into_iter().map(f32::from).collect())
}

/// Takes the memory of a device until there is none, gives it back, and computes.
fn full(device: &Device) -> anyhow::Result<()> {
    let networks = Networks::load(device)?;
    let wish = Wish { sides: [64, 64], batch: 1, steps: 1 };
    networks.picture(&wish)?;
    let mut taken = Vec::new();
    let refused = loop {
        match Tensor::zeros(1 << 30, DType::F32, device) {
            Ok(tensor) => taken.push(tensor),
            Err(error) => break anyhow::Error::from(error),
        }
    };
    let failed = networks.picture(&Wish { sides: [256, 256], batch: 4, ..wish }).err();
    let known = [Some(refused), failed].iter().flatten().all(gpu::is_full);
    let gigabytes = 4 * taken.len();
    drop(taken);
    gpu::Reserve::of(device).trim();
    tell(&json!({ "gigabytes": gigabytes, "known": known, "after": networks.picture(&wish)? }))
}

/// Context, kernels, weights, first step: each from the one before.
fn cold(name: &str) -> anyhow::Result<()> {
    let mut last = Instant::now();
    let mut lap = |part: &str| {
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        tell(&json!({ "part": part, "seconds": seconds }))
    };
    let device = name.parse::<DeviceKind>().map_err(anyhow::Error::msg)?.open()?;
    lap("context")?;
    let one = Tensor::ones((64, 64), DType::BF16, &device)?;
    one.matmul(&one)?.gelu_erf()?.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>().context("the first kernels")?;
    lap("first kernels")?;
    let networks = Networks { unet: unet(DType::BF16, &device)?, vae: vae(DType::BF16, &device)?, device };
    lap("weights, made on the CPU")?;
    networks.picture(&Wish { sides: [64, 64], batch: 1, steps: 1 })?;
    lap("first step and picture")
}
