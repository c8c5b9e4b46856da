//! Latents to pictures.

use anyhow::Result;
use candle_core::{DType, Tensor};
use shanshui_kernels::floats::Pool;

use super::half::{EPSILON, Middle, resnets};
use crate::{
    diffusers::{
        vae_config::VaeConfig,
        weights::{Weights, wide},
    },
    layers::{
        conv::{Around, Conv, Window},
        norm::GroupNorm,
        resnet::Resnet,
    },
};

/// The decoder of `AutoencoderKL`.
pub(super) struct Decoder {
    /// The type between the first layer and the last.
    dtype: DType,
    unquantise: Option<Conv>,
    enter: Conv,
    middle: Middle,
    up: Vec<(Vec<Resnet>, Option<Conv>)>,
    norm: GroupNorm,
    leave: Conv,
}

impl Decoder {
    pub(super) fn load(weights: &Weights<'_>, config: &VaeConfig) -> Result<Self> {
        let latent = config.latent_channels;
        let point = Window { kernel: 1, stride: 1, before: 0, after: 0 };
        let unquantise = || Conv::with_window(&weights.exact().at("post_quant_conv"), latent, latent, point);
        let unquantise = config.use_post_quant_conv.then(unquantise).transpose()?;
        let weights = weights.at("decoder");
        let (first, last) =
            (config.block_out_channels[0], config.block_out_channels[config.block_out_channels.len() - 1]);
        Ok(Self {
            dtype: weights.activations(),
            unquantise,
            enter: Conv::load(&weights.exact().at("conv_in"), latent, last)?,
            middle: Middle::load(&weights.at("mid_block"), config, last)?,
            up: up(&weights, config, last)?,
            norm: GroupNorm::load(&weights.at("conv_norm_out"), first, config.norm_num_groups, EPSILON)?.with_silu(),
            leave: Conv::load(&weights.exact().at("conv_out"), first, 3)?,
        })
    }

    /// (batch, latent channels, height, width) to (batch, 3, …) in about [-1, 1], neither of half precision.
    pub(super) fn forward(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        let _pool = Pool::open();
        let mut x = self.enter.take(latents)?;
        if let Some(conv) = &self.unquantise {
            x = conv.forward(&x)?;
        }
        x = self.middle.forward(self.enter.forward(&x)?.to_dtype(self.dtype)?)?;
        for (resnets, grow) in &self.up {
            for resnet in resnets {
                x = resnet.forward(x, None)?;
            }
            if let Some(conv) = grow {
                let sides = Some(x.sides()?.map(|side| 2 * side));
                x = conv.forward_with(&x, Around { sides, ..Around::default() })?;
            }
        }
        let x = x.to_dtype(wide(self.dtype))?;
        self.leave.forward_with(&x, Around { norm: Some(&self.norm), ..Around::default() })?.into_tensor()
    }
}

fn up(weights: &Weights<'_>, config: &VaeConfig, mut before: usize) -> Result<Vec<(Vec<Resnet>, Option<Conv>)>> {
    let count = config.block_out_channels.len();
    let mut blocks = Vec::with_capacity(count);
    for (index, channels) in config.block_out_channels.iter().rev().enumerate() {
        let weights = weights.at(format!("up_blocks.{index}"));
        let resnets = resnets(&weights, config, (before, *channels), config.layers_per_block + 1)?;
        let grow = || Conv::load_doubling(&weights.at("upsamplers.0.conv"), *channels, *channels, true);
        blocks.push((resnets, (index + 1 < count).then(grow).transpose()?));
        before = *channels;
    }
    Ok(blocks)
}
