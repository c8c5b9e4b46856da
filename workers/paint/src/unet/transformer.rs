//! The spatial transformer: pixels attend to each other and to the text.

use std::slice::Iter;

use anyhow::Result;
use candle_core::Tensor;

use crate::{
    diffusers::weights::Weights,
    layers::{
        activation::geglu,
        attention::{Attention, AttentionConfig, KeysValues, NAMES, to_map, to_tokens},
        linear::Linear,
        norm::{GroupNorm, LayerNorm},
    },
};

/// `Transformer2DModel` of diffusers.
pub(super) struct Transformer {
    norm: GroupNorm,
    enter: Linear,
    blocks: Vec<Block>,
    leave: Linear,
}

/// Self attention, attention to the text, feed-forward.
pub(super) struct Block {
    norm1: LayerNorm,
    own: Attention,
    norm2: LayerNorm,
    pub(super) text: Attention,
    norm3: LayerNorm,
    inner: Linear,
    outer: Linear,
}

/// Shape of a [`Transformer`].
#[derive(Clone, Copy)]
pub(super) struct TransformerConfig {
    pub(super) channels: usize,
    pub(super) heads: usize,
    pub(super) depth: usize,
    pub(super) text_width: usize,
    pub(super) groups: usize,
    pub(super) upcast: bool,
}

impl Transformer {
    pub(super) fn load(weights: &Weights<'_>, config: TransformerConfig) -> Result<Self> {
        let channels = config.channels;
        let block = |index| Block::load(&weights.at(format!("transformer_blocks.{index}")), config);
        Ok(Self {
            // Diffusers fixes this epsilon, whatever the config's `norm_eps`.
            norm: GroupNorm::load(&weights.at("norm"), channels, config.groups, 1e-6)?,
            enter: Linear::load(&weights.at("proj_in"), channels, channels)?,
            blocks: (0..config.depth).map(block).collect::<Result<_>>()?,
            leave: Linear::load(&weights.at("proj_out"), channels, channels)?,
        })
    }

    pub(super) fn blocks(&self) -> Iter<'_, Block> {
        self.blocks.iter()
    }

    /// Takes the keys and values of its blocks from `context`, in order.
    pub(super) fn forward(&self, x: &Tensor, context: &mut Iter<'_, KeysValues>) -> candle_core::Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let mut tokens = self.enter.forward(&to_tokens(&self.norm.forward(x)?)?)?;
        for (block, text) in self.blocks.iter().zip(context) {
            tokens = block.forward(&tokens, text)?;
        }
        x + to_map(&self.leave.forward(&tokens)?, height, width)?
    }
}

impl Block {
    fn load(weights: &Weights<'_>, config: TransformerConfig) -> Result<Self> {
        let TransformerConfig { channels, heads, text_width, upcast, .. } = config;
        let attention =
            |context| AttentionConfig { width: channels, context, heads, bias: false, upcast, names: NAMES };
        let norm = |name| LayerNorm::load(&weights.at(name), channels, 1e-5);
        Ok(Self {
            norm1: norm("norm1")?,
            own: Attention::load(&weights.at("attn1"), attention(channels))?,
            norm2: norm("norm2")?,
            text: Attention::load(&weights.at("attn2"), attention(text_width))?,
            norm3: norm("norm3")?,
            inner: Linear::load(&weights.at("ff.net.0.proj"), channels, 8 * channels)?,
            outer: Linear::load(&weights.at("ff.net.2"), 4 * channels, channels)?,
        })
    }

    fn forward(&self, x: &Tensor, text: &KeysValues) -> candle_core::Result<Tensor> {
        let normal = self.norm1.forward(x)?;
        let x = (x + self.own.forward(&normal, &self.own.prepare(&normal)?, None)?)?;
        let x = (&x + self.text.forward(&self.norm2.forward(&x)?, text, None)?)?;
        let inner = geglu(&self.inner.forward(&self.norm3.forward(&x)?)?)?;
        x + self.outer.forward(&inner)?
    }
}
