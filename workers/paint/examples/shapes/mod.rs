//! Networks of the shape of Stable Diffusion 1.5 with random weights: the same for every program that times them.

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use shanshui_paint::diffusers::text_config::TextConfig;
use shanshui_paint::diffusers::unet_config::UnetConfig;
use shanshui_paint::diffusers::vae_config::VaeConfig;
use shanshui_paint::diffusers::weights::{Maker, WeightFiles, Weights};
use shanshui_paint::noise::NoiseKey;
use shanshui_paint::text_encoder::TextEncoder;
use shanshui_paint::unet::Unet;
use shanshui_paint::vae::Vae;

/// Tokens of a prompt, and the width of their states.
pub(crate) const TEXT: (usize, usize) = (77, 768);

/// Peak signal to noise ratio. The peak is the span of the exact values.
pub(crate) fn decibels(exact: &[f32], rounded: &[f32]) -> f64 {
    let squares = exact.iter().zip(rounded).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let (low, high) = exact.iter().fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let mean = squares / exact.len() as f64;
    10.0 * (f64::from(high - low).powi(2) / mean).log10()
}

/// The UNet of Stable Diffusion 1.5.
pub(crate) fn unet(dtype: DType, device: &Device) -> anyhow::Result<Unet> {
    let config = UnetConfig::parse(json!({
        "in_channels": 4, "out_channels": 4, "sample_size": 64, "layers_per_block": 2,
        "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": TEXT.1, "attention_head_dim": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    }))?;
    let files = WeightFiles::made("unet", random());
    Unet::load(&Weights::new(&files, dtype, device), &config, device)
}

/// Its decoder.
pub(crate) fn vae(dtype: DType, device: &Device) -> anyhow::Result<Vae> {
    let repeat = |name: &str| Value::from(vec![name; 4]);
    let config = VaeConfig::parse(json!({
        "latent_channels": 4, "layers_per_block": 2, "block_out_channels": [128, 256, 512, 512],
        "down_block_types": repeat("DownEncoderBlock2D"), "up_block_types": repeat("UpDecoderBlock2D"),
    }))?;
    let files = WeightFiles::made("vae", random());
    Vae::load(&Weights::new(&files, dtype, device), &config)
}

/// Its text encoder, in f32 as it always is.
pub(crate) fn text(device: &Device) -> anyhow::Result<TextEncoder> {
    let config = TextConfig::parse(json!({
        "vocab_size": 49_408, "hidden_size": TEXT.1, "intermediate_size": 4 * TEXT.1, "num_hidden_layers": 12,
        "num_attention_heads": 12, "max_position_embeddings": TEXT.0, "hidden_act": "quick_gelu",
    }))?;
    let files = WeightFiles::made("text_encoder", random());
    TextEncoder::load(&Weights::new(&files, DType::F32, device), &config)
}

fn random() -> Maker {
    Box::new(|name, shape| match shape {
        [width] if name.contains("norm") && name.ends_with("weight") => Tensor::ones(*width, DType::F32, &Device::Cpu),
        [width] => Tensor::full(0.01_f32, *width, &Device::Cpu),
        _ => weight(shape),
    })
}

/// Uniform numbers that keep the variance of what they are multiplied with.
pub(crate) fn weight(shape: &[usize]) -> candle_core::Result<Tensor> {
    let count: usize = shape.iter().product();
    let largest = (3.0 / (count / shape[0]) as f32).sqrt();
    let mut state = count as u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * largest
    };
    let values: Vec<f32> = std::iter::repeat_with(next).take(count).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// The same numbers for the same shape.
pub(crate) fn noise(shape: &[usize]) -> candle_core::Result<Tensor> {
    let values = NoiseKey { seed: 1, picture: 0, step: 0 }.normals(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu)
}
