//! Settings of a paint worker.

use std::path::PathBuf;

use candle_core::{DType, Device};
use clap::{Args, ValueEnum};
use shanshui_kernels::{Kernels, PathError};
use shanshui_model::DeviceKind;

use crate::limits::Limits;
use crate::model::Extras;

/// What a paint worker is told at start.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Paint")]
pub struct PaintOptions {
    /// Picture model: a folder in the diffusers layout, a folder of the hub's cache, a .safetensors file, or
    /// the name of one among the models
    #[arg(long, env = "SHANSHUI_PICTURE_MODEL", default_value = "mini")]
    pub picture_model: String,
    /// Decoder to take instead of the model's own: TAESD, a .safetensors file or its folder
    #[arg(long, env = "SHANSHUI_TINY_DECODER", value_name = "PATH")]
    pub tiny_decoder: Option<PathBuf>,
    /// LoRA to merge into the model, and how strongly (1 where it is not said; 0: only where a job asks);
    /// again for more
    #[arg(long = "lora", env = "SHANSHUI_LORAS", value_name = "PATH[=WEIGHT]", value_delimiter = ';', value_parser = lora)]
    pub loras: Vec<(PathBuf, f64)>,
    /// Where to compute: auto (the first NVIDIA GPU if there is one), cpu, cuda, or cuda:N for the GPU of that
    /// number; cuda never falls back
    #[arg(long = "paint-device", env = "SHANSHUI_PAINT_DEVICE", value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    pub paint_device: DeviceKind,
    /// Arithmetic of the picture model: bf16 needs half the memory; auto takes it on GPUs, and on CPUs that are
    /// faster in it
    #[arg(long = "paint-precision", env = "SHANSHUI_PAINT_PRECISION", value_enum, default_value_t)]
    pub paint_precision: Precision,
    /// Most pixels of one picture, width times height
    #[arg(long, env = "SHANSHUI_MAX_PIXELS", default_value_t = Limits::default().max_pixels)]
    pub max_pixels: usize,
    /// Most denoising steps
    #[arg(long, env = "SHANSHUI_MAX_STEPS", default_value_t = Limits::default().max_steps)]
    pub max_steps: usize,
    /// Most pictures of one job
    #[arg(long, env = "SHANSHUI_MAX_COUNT", default_value_t = Limits::default().max_count)]
    pub max_count: usize,
    /// Characters of a text that are painted; what is longer is cut, and the receipt says so
    #[arg(long, env = "SHANSHUI_MAX_PROMPT_CHARS", default_value_t = Limits::default().max_prompt_chars)]
    pub max_prompt_chars: usize,
    /// Pictures denoised together; more needs more memory
    #[arg(long, env = "SHANSHUI_MAX_BATCH", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub max_batch: u16,
    /// Whether pictures of several jobs are denoised together; auto: on a GPU, for a CPU is hardly faster by it,
    /// and all of the jobs would end late
    #[arg(long, env = "SHANSHUI_BATCH_JOBS", value_enum, default_value_t)]
    pub batch_jobs: BatchJobs,
}

/// Whose pictures may be one batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum BatchJobs {
    /// As the device is.
    #[default]
    Auto,
    /// Those of several jobs.
    Yes,
    /// Those of one job.
    No,
}

impl BatchJobs {
    /// Whether a batch may hold pictures of several jobs on a device.
    pub(crate) fn holds(self, device: &Device) -> bool {
        match self {
            Self::Auto => !device.is_cpu(),
            Self::Yes => true,
            Self::No => false,
        }
    }
}

/// Numbers to compute with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// bf16 on a GPU, and on a CPU that multiplies it faster than f32; otherwise f32.
    #[default]
    Auto,
    /// The large products of UNet and decoder are of numbers with three digits, sums have seven.
    Bf16,
    /// As the model was published.
    F32,
}

impl Precision {
    /// The type of the weights on a device.
    ///
    /// # Errors
    /// The environment asks for instructions that this CPU lacks.
    pub fn dtype(self, device: &Device) -> Result<DType, PathError> {
        let kernels = Kernels::choose()?;
        Ok(match self {
            Self::Bf16 => DType::BF16,
            // bf16 has the range of f32: what overflows in f16, as some decoders do, does not in it.
            Self::Auto if !device.is_cpu() || kernels.prefers_bf16() => DType::BF16,
            Self::Auto | Self::F32 => DType::F32,
        })
    }
}

/// `PATH` or `PATH=WEIGHT`.
fn lora(text: &str) -> Result<(PathBuf, f64), String> {
    match text.rsplit_once('=') {
        Some((path, weight)) if !path.is_empty() => {
            let number = weight.parse().ok().filter(|number: &f64| number.is_finite());
            Ok((path.into(), number.ok_or_else(|| format!("{weight:?} is not a weight"))?))
        }
        _ => Ok((text.into(), 1.0)),
    }
}

impl PaintOptions {
    /// What is loaded beside the model.
    pub fn extras(&self) -> Extras {
        Extras { tiny_decoder: self.tiny_decoder.clone(), loras: self.loras.clone() }
    }

    /// The limits among the settings.
    pub fn limits(&self) -> Limits {
        Limits {
            max_pixels: self.max_pixels,
            max_steps: self.max_steps,
            max_count: self.max_count,
            max_prompt_chars: self.max_prompt_chars,
            ..Limits::default()
        }
    }
}
