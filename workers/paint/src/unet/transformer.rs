//! The spatial transformer: pixels attend to each other and to the text.

use std::slice::Iter;

use anyhow::Result;
use candle_core::Tensor;
use shanshui_kernels::{Kernels, floats::Prepare};

use crate::{
    diffusers::weights::Weights,
    layers::{
        activation::geglu,
        attention::{Attention, AttentionConfig, KeysValues, NAMES, to_map, to_tokens},
        linear::Linear,
        map::{Map, Plain},
        norm::{GroupNorm, LayerNorm},
    },
};

/// `Transformer2DModel` of diffusers.
pub(super) struct Transformer {
    norm: GroupNorm,
    enter: Linear,
    blocks: Vec<Block>,
    leave: Linear,
    kernels: Option<Kernels>,
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
            kernels: weights.kernels().map(|(kernels, _)| kernels),
        })
    }

    pub(super) fn blocks(&self) -> Iter<'_, Block> {
        self.blocks.iter()
    }

    /// Takes the keys and values of its blocks from `context`, in order.
    pub(super) fn forward(&self, x: &Map, context: &mut Iter<'_, KeysValues>) -> candle_core::Result<Map> {
        match (x, self.kernels) {
            (Map::Plain(x), Some(kernels)) => Ok(self.forward_plain(kernels, x, context)?.into()),
            (Map::Tensor(x), None) => Ok(Map::Tensor(self.forward_tensor(x, context)?)),
            _ => candle_core::bail!("a map of another kind than the layer's weights"),
        }
    }

    fn forward_plain(
        &self,
        kernels: Kernels,
        x: &Plain,
        context: &mut Iter<'_, KeysValues>,
    ) -> candle_core::Result<Plain> {
        let affine = self.norm.affine(kernels, x);
        let mut tokens = self.enter.product(&self.enter.operand(x, Prepare::Affine(&affine))?, None)?;
        for (block, text) in self.blocks.iter().zip(context) {
            tokens = block.forward_plain(&tokens, text)?;
        }
        self.leave.product(&self.leave.operand(&tokens, Prepare::Keep)?, Some(x))
    }

    fn forward_tensor(&self, x: &Tensor, context: &mut Iter<'_, KeysValues>) -> candle_core::Result<Tensor> {
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
        let attention = |context| AttentionConfig {
            width: channels,
            context,
            heads,
            bias: false,
            upcast,
            masked: false,
            names: NAMES,
        };
        let norm = |name| LayerNorm::load(&weights.at(name), channels, 1e-5);
        Ok(Self {
            norm1: norm("norm1")?,
            own: Attention::load(&weights.at("attn1"), attention(channels))?,
            norm2: norm("norm2")?,
            text: Attention::load(&weights.at("attn2"), attention(text_width))?,
            norm3: norm("norm3")?,
            inner: Linear::load_gated(&weights.at("ff.net.0.proj"), channels, 8 * channels)?,
            outer: Linear::load(&weights.at("ff.net.2"), 4 * channels, channels)?,
        })
    }

    fn forward_plain(&self, x: &Plain, text: &KeysValues) -> candle_core::Result<Plain> {
        let normal = self.own.query().operand(x, self.norm1.prepare())?;
        let x = self.own.forward_plain(&normal, &self.own.prepare_plain(&normal)?, x)?;
        let normal = self.text.query().operand(&x, self.norm2.prepare())?;
        let x = self.text.forward_plain(&normal, text, &x)?;
        let inner = self.inner.gate(&self.inner.operand(&x, self.norm3.prepare())?)?;
        self.outer.product(&inner, Some(&x))
    }

    fn forward(&self, x: &Tensor, text: &KeysValues) -> candle_core::Result<Tensor> {
        let normal = self.norm1.forward(x)?;
        let x = (x + self.own.forward(&normal, &self.own.prepare(&normal)?, None)?)?;
        let x = (&x + self.text.forward(&self.norm2.forward(&x)?, text, None)?)?;
        let inner = geglu(&self.inner.forward(&self.norm3.forward(&x)?)?)?;
        x + self.outer.forward(&inner)?
    }
}
