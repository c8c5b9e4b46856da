//! What encoder and decoder share: the middle, and the way out.

use anyhow::Result;
use candle_core::Tensor;
use shanshui_kernels::{Kernels, floats::Prepare};

use crate::{
    diffusers::{vae_config::VaeConfig, weights::Weights},
    layers::{
        attention::{Attention, AttentionConfig, NAMES, to_map, to_tokens},
        map::{Map, Plain},
        norm::GroupNorm,
        resnet::{Resnet, ResnetConfig},
    },
};

/// Diffusers fixes the epsilon of the autoencoder's norms.
pub(super) const EPSILON: f64 = 1e-6;

/// Names of the attention's projections in files from before diffusers 0.12.
const OLD_NAMES: [&str; 4] = ["query", "key", "value", "proj_attn"];

/// Residual, attention over the pixels, residual.
pub(super) struct Middle {
    resnet1: Resnet,
    attention: Option<(GroupNorm, Attention)>,
    resnet2: Resnet,
    kernels: Option<Kernels>,
}

impl Middle {
    pub(super) fn load(weights: &Weights<'_>, config: &VaeConfig, channels: usize) -> Result<Self> {
        let resnet =
            |index: usize| Resnet::load(&weights.at(format!("resnets.{index}")), resnet(config, channels, channels));
        let attention = || {
            let weights = weights.at("attentions.0");
            let names = if weights.has("query.weight") { OLD_NAMES } else { NAMES };
            let shape = AttentionConfig {
                width: channels,
                context: channels,
                heads: 1,
                bias: true,
                upcast: false,
                masked: false,
                names,
            };
            let norm = GroupNorm::load(&weights.at("group_norm"), channels, config.norm_num_groups, EPSILON)?;
            anyhow::Ok((norm, Attention::load(&weights, shape)?))
        };
        Ok(Self {
            resnet1: resnet(0)?,
            attention: config.mid_block_add_attention.then(attention).transpose()?,
            resnet2: resnet(1)?,
            kernels: weights.kernels().map(|(kernels, _)| kernels),
        })
    }

    pub(super) fn forward(&self, x: &Map) -> candle_core::Result<Map> {
        let mut x = self.resnet1.forward(x, None)?;
        if let Some((norm, attention)) = &self.attention {
            x = match (&x, self.kernels) {
                (Map::Plain(x), Some(kernels)) => attend_plain(kernels, norm, attention, x)?.into(),
                (Map::Tensor(x), None) => Map::Tensor(attend(norm, attention, x)?),
                _ => candle_core::bail!("a map of another kind than the layer's weights"),
            };
        }
        self.resnet2.forward(&x, None)
    }
}

fn attend_plain(kernels: Kernels, norm: &GroupNorm, attention: &Attention, x: &Plain) -> candle_core::Result<Plain> {
    let normal = attention.query().operand(x, Prepare::Affine(&norm.affine(kernels, x)))?;
    attention.forward_plain(&normal, &attention.prepare_plain(&normal)?, x)
}

fn attend(norm: &GroupNorm, attention: &Attention, x: &Tensor) -> candle_core::Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let tokens = to_tokens(&norm.forward(x)?)?;
    let seen = attention.prepare(&tokens)?;
    x + to_map(&attention.forward(&tokens, &seen, None)?, height, width)?
}

/// The shape of one of the autoencoder's residual blocks.
pub(super) fn resnet(config: &VaeConfig, inputs: usize, outputs: usize) -> ResnetConfig {
    ResnetConfig { inputs, outputs, time: None, groups: config.norm_num_groups, epsilon: EPSILON, wide: true }
}

/// `count` residual blocks, the first of which changes the channels.
pub(super) fn resnets(
    weights: &Weights<'_>,
    config: &VaeConfig,
    (inputs, outputs): (usize, usize),
    count: usize,
) -> Result<Vec<Resnet>> {
    let load = |index: usize| {
        let from = if index == 0 { inputs } else { outputs };
        Resnet::load(&weights.at(format!("resnets.{index}")), resnet(config, from, outputs))
    };
    (0..count).map(load).collect()
}
