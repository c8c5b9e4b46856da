//! Pictures to latents.

use anyhow::Result;
use candle_core::Tensor;
use shanshui_kernels::floats::Pool;

use super::half::{EPSILON, Middle, resnets};
use crate::{
    diffusers::{vae_config::VaeConfig, weights::Weights},
    layers::{
        conv::{Around, Conv, Window},
        norm::GroupNorm,
        resnet::Resnet,
    },
};

/// The encoder of `AutoencoderKL`.
pub(super) struct Encoder {
    enter: Conv,
    down: Vec<(Vec<Resnet>, Option<Conv>)>,
    middle: Middle,
    norm: GroupNorm,
    leave: Conv,
    quantise: Option<Conv>,
}

impl Encoder {
    pub(super) fn load(weights: &Weights<'_>, config: &VaeConfig) -> Result<Self> {
        // Mean and log variance.
        let moments = 2 * config.latent_channels;
        let point = Window { kernel: 1, stride: 1, before: 0, after: 0 };
        let quantise = || Conv::with_window(&weights.at("quant_conv"), moments, moments, point);
        let quantise = config.use_quant_conv.then(quantise).transpose()?;
        let weights = weights.at("encoder");
        let (first, last) =
            (config.block_out_channels[0], config.block_out_channels[config.block_out_channels.len() - 1]);
        Ok(Self {
            enter: Conv::load(&weights.at("conv_in"), 3, first)?,
            down: down(&weights, config, first)?,
            middle: Middle::load(&weights.at("mid_block"), config, last)?,
            norm: GroupNorm::load(&weights.at("conv_norm_out"), last, config.norm_num_groups, EPSILON)?.with_silu(),
            leave: Conv::load(&weights.at("conv_out"), last, moments)?,
            quantise,
        })
    }

    /// (batch, 3, height, width) in [-1, 1] to the means (batch, latent channels, …).
    pub(super) fn forward(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let _pool = Pool::open();
        let mut x = self.enter.forward(&self.enter.take(pixels)?)?;
        for (resnets, shrink) in &self.down {
            for resnet in resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(conv) = shrink {
                x = conv.forward(&x)?;
            }
        }
        let around = Around { norm: Some(&self.norm), ..Around::default() };
        let mut moments = self.leave.forward_with(&self.middle.forward(&x)?, around)?;
        if let Some(conv) = &self.quantise {
            moments = conv.forward(&moments)?;
        }
        let moments = moments.into_tensor()?;
        moments.narrow(1, 0, moments.dim(1)? / 2)
    }
}

fn down(weights: &Weights<'_>, config: &VaeConfig, mut before: usize) -> Result<Vec<(Vec<Resnet>, Option<Conv>)>> {
    let count = config.block_out_channels.len();
    let mut blocks = Vec::with_capacity(count);
    // Zeros only below and to the right, as in the original autoencoder.
    let halving = Window { kernel: 3, stride: 2, before: 0, after: 1 };
    for (index, channels) in config.block_out_channels.iter().enumerate() {
        let weights = weights.at(format!("down_blocks.{index}"));
        let resnets = resnets(&weights, config, (before, *channels), config.layers_per_block)?;
        let shrink = || Conv::with_window(&weights.at("downsamplers.0.conv"), *channels, *channels, halving);
        blocks.push((resnets, (index + 1 < count).then(shrink).transpose()?));
        before = *channels;
    }
    Ok(blocks)
}
